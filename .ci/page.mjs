// Pages of runs in a real browser: light and dark, on a phone and on a desk. Each must fit, ask nobody for anything,
// and have no error; the first must have all its parts. Screenshots go beside the pages.
import { chromium } from "playwright-core";
import { pathToFileURL } from "node:url";
import { basename, resolve } from "node:path";

const [executablePath, whole, ...others] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const problems = [];
for (const file of [whole, ...others]) {
  const address = pathToFileURL(resolve(file)).href;
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [400, 1400]) {
      const name = `${basename(file)}, ${colorScheme}, ${width} pixels`;
      const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
      page.on("request", (request) => {
        if (request.url() !== address) problems.push(`${name}: it asks for ${request.url()}`);
      });
      page.on("console", (message) => {
        if (message.type() === "error") problems.push(`${name}: ${message.text()}`);
      });
      page.on("pageerror", (error) => problems.push(`${name}: ${error}`));
      await page.goto(address);
      const wide = await page.evaluate(() => {
        const most = document.documentElement.clientWidth;
        const beyond = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > most + 0.5);
        return { scrolls: document.documentElement.scrollWidth > most, beyond: beyond.map((one) => one.outerHTML.slice(0, 80)) };
      });
      if (wide.scrolls || wide.beyond.length > 0) problems.push(`${name}: wider than the window: ${wide.beyond[0]}`);
      const seen = await page.evaluate(() => ({
        bars: document.querySelectorAll(".bar").length,
        changed: document.querySelectorAll("ins").length,
        rows: document.querySelectorAll("tbody tr").length,
        plotted: document.querySelectorAll("polyline").length,
        ground: getComputedStyle(document.body).backgroundColor,
      }));
      for (const [what, count] of Object.entries(seen)) {
        if (count === 0 && file === whole) problems.push(`${name}: no ${what}`);
      }
      const dark = seen.ground === "rgb(13, 17, 23)";
      if (dark !== (colorScheme === "dark")) problems.push(`${name}: the ground is ${seen.ground}`);
      await page.screenshot({ path: file.replace(/\.html$/, `-${colorScheme}-${width}.png`), fullPage: true });
      await page.close();
      console.log(`${name}: ${JSON.stringify(seen)}`);
    }
  }
}
await browser.close();
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
