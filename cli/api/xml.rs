//! Reads the XML responses of query APIs.

use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};
use std::collections::BTreeMap;

/// The texts of an element's children, by name.
pub type Leaves = BTreeMap<String, String>;

/// The elements at a path below the root element, such as `["ListTopicsResult", "Topics", "member"]`.
pub fn rows(xml: &[u8], path: &[&str]) -> Vec<Leaves> {
    let mut rows = Vec::new();
    if let Ok(mut document) = Document::try_from(xml)
        && let Ok(mut root) = document.root_element()
    {
        descend(&mut root, path, &mut rows);
    }
    rows
}

/// The text of the first element with this name.
pub fn text(xml: &[u8], name: &str) -> Option<String> {
    let mut document = Document::try_from(xml).ok()?;
    let mut root = document.root_element().ok()?;
    find(&mut root, name)
}

fn descend(element: &mut ScopedDecoder<'_, '_>, path: &[&str], rows: &mut Vec<Leaves>) {
    let Some((first, rest)) = path.split_first() else {
        let mut leaves = Leaves::new();
        while let Some(mut field) = element.next_tag() {
            let name = field.start_el().local().to_owned();
            // Children with children of their own have no text.
            if let Ok(text) = try_data(&mut field) {
                leaves.insert(name, text.into_owned());
            }
        }
        rows.push(leaves);
        return;
    };
    while let Some(mut child) = element.next_tag() {
        if child.start_el().matches(first) {
            descend(&mut child, rest, rows);
        }
    }
}

fn find(element: &mut ScopedDecoder<'_, '_>, name: &str) -> Option<String> {
    while let Some(mut child) = element.next_tag() {
        if child.start_el().matches(name) {
            return try_data(&mut child).ok().map(|text| text.into_owned());
        }
        if let Some(found) = find(&mut child, name) {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACKS: &[u8] = b"<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">
        <DescribeStacksResult><Stacks><member><StackName>ampxa</StackName><Outputs>
        <member><OutputKey>A</OutputKey><OutputValue>1 &amp; 2</OutputValue></member>
        <member><OutputKey>B</OutputKey><OutputValue/></member></Outputs>
        <StackStatus>CREATE_COMPLETE</StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";

    #[test]
    fn rows_are_the_elements_at_a_path() {
        let stack = ["DescribeStacksResult", "Stacks", "member"];
        let rows = |path: &[&str]| super::rows(STACKS, path);
        assert_eq!(rows(&stack)[0]["StackStatus"], "CREATE_COMPLETE");
        let outputs = rows(&[&stack[..], &["Outputs", "member"]].concat());
        assert_eq!(outputs.len(), 2);
        assert_eq!(
            (outputs[0]["OutputValue"].as_str(), outputs[1]["OutputValue"].as_str()),
            ("1 & 2", "")
        );
        assert!(super::rows(b"{}", &stack).is_empty());
    }

    #[test]
    fn text_is_found_at_any_depth() {
        assert_eq!(text(STACKS, "OutputKey").as_deref(), Some("A"));
        assert_eq!(text(STACKS, "Code"), None);
    }
}
