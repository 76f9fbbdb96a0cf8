//! A report as CSV, for a spreadsheet.

use super::{FleetReport, Row};
use crate::style::printable;
use anyhow::Result;
use csv::{QuoteStyle, Terminator, WriterBuilder};

/// The header.
const HEADER: [&str; 9] = [
    "account",
    "region",
    "cluster",
    "workspace",
    "verdict",
    "error",
    "reason",
    "fix",
    "resource",
];

impl FleetReport {
    /// The rows as CSV (RFC 4180). A spreadsheet must not evaluate a cell: each is quoted, and one that could begin a
    /// formula begins with an apostrophe (OWASP, "CSV Injection").
    ///
    /// # Errors
    /// If a row cannot be written.
    pub fn csv(&self) -> Result<String> {
        let mut writer = WriterBuilder::new()
            .quote_style(QuoteStyle::Always)
            .terminator(Terminator::CRLF)
            .from_writer(format!("{}\r\n", HEADER.join(",")).into_bytes());
        for row in &self.rows {
            writer.write_record(row.fields().map(|text| cell(&printable(text))))?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }
}

impl Row {
    fn fields(&self) -> [&str; 9] {
        fn text(field: &Option<String>) -> &str {
            field.as_deref().unwrap_or_default()
        }
        [
            &self.account,
            text(&self.region),
            text(&self.cluster_arn),
            text(&self.workspace_arn),
            &self.verdict,
            text(&self.error),
            text(&self.reason),
            text(&self.fix),
            text(match self.role_arn {
                Some(_) => &self.role_arn,
                None => &self.scraper_arn,
            }),
        ]
    }
}

/// A cell. The characters that begin a formula include their full-width forms, tab, carriage return and line feed.
fn cell(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Summary;

    #[test]
    fn cells_are_quoted_and_never_begin_a_formula() {
        let row = |reason: &str| Row {
            account: "222222222222".to_owned(),
            region: Some("us-west-2".to_owned()),
            cluster_arn: Some("arn:aws:eks:us-west-2:222222222222:cluster/a".to_owned()),
            verdict: "SKIPPED".to_owned(),
            reason: Some(reason.to_owned()),
            ..Row::default()
        };
        let report = FleetReport {
            summary: Summary::default(),
            rows: vec![row("=HYPERLINK(\"http://a\",\"b\")"), row("a, b\nc")],
        };
        let start =
            "\"222222222222\",\"us-west-2\",\"arn:aws:eks:us-west-2:222222222222:cluster/a\",\"\",\"SKIPPED\",\"\"";
        let expected = format!(
            "account,region,cluster,workspace,verdict,error,reason,fix,resource\r\n\
             {start},\"'=HYPERLINK(\"\"http://a\"\",\"\"b\"\")\",\"\",\"\"\r\n\
             {start},\"a, b\nc\",\"\",\"\"\r\n"
        );
        assert_eq!(report.csv().unwrap(), expected);
        for text in ["+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
        assert_eq!(cell("a=1"), "a=1");
    }
}
