// Opens pages of executions in a browser: light and dark, with the width of a phone and of a desktop. Each page must
// fit into the window, request nothing and log no error. The first page must have all its parts. Screenshots are
// written beside the pages.
import { chromium } from "playwright-core";
import { pathToFileURL } from "node:url";
import { basename, resolve } from "node:path";

const [executablePath, complete, ...others] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const problems = [];
for (const file of [complete, ...others]) {
  const address = pathToFileURL(resolve(file)).href;
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [400, 1400]) {
      const name = `${basename(file)}, ${colorScheme}, ${width} pixels`;
      const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
      page.on("request", (request) => {
        if (request.url() !== address) problems.push(`${name}: it requests ${request.url()}`);
      });
      page.on("console", (message) => {
        if (message.type() === "error") problems.push(`${name}: ${message.text()}`);
      });
      page.on("pageerror", (error) => problems.push(`${name}: ${error}`));
      await page.goto(address);
      const overflow = await page.evaluate(() => {
        const windowWidth = document.documentElement.clientWidth;
        const beyond = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > windowWidth + 0.5);
        return { scrolls: document.documentElement.scrollWidth > windowWidth, beyond: beyond.map((element) => element.outerHTML.slice(0, 80)) };
      });
      if (overflow.scrolls || overflow.beyond.length > 0) problems.push(`${name}: wider than the window: ${overflow.beyond[0]}`);
      const parts = await page.evaluate(() => ({
        bars: document.querySelectorAll(".bar").length,
        changed: document.querySelectorAll("ins").length,
        rows: document.querySelectorAll("tbody tr").length,
        plotted: document.querySelectorAll("polyline").length,
        background: getComputedStyle(document.body).backgroundColor,
      }));
      for (const [what, count] of Object.entries(parts)) {
        if (count === 0 && file === complete) problems.push(`${name}: no ${what}`);
      }
      const dark = parts.background === "rgb(13, 17, 23)";
      if (dark !== (colorScheme === "dark")) problems.push(`${name}: the background is ${parts.background}`);
      await page.screenshot({ path: file.replace(/\.html$/, `-${colorScheme}-${width}.png`), fullPage: true });
      await page.close();
      console.log(`${name}: ${JSON.stringify(parts)}`);
    }
  }
}
await browser.close();
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
