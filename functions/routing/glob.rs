//! Patterns for names and tag values: `*` matches any text, `?` matches one character, other characters match
//! themselves.

/// Whether a pattern matches a whole text.
///
/// The number of operations is at most the product of the two lengths.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // For each length: whether the part of the pattern read so far matches the first characters of the text.
    let mut lengths = vec![false; text.len() + 1];
    lengths[0] = true;
    for c in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        match c {
            '*' => {
                let mut shorter_matches = false;
                for (length, matches) in lengths.iter().enumerate() {
                    shorter_matches |= matches;
                    next[length] = shorter_matches;
                }
            }
            c => {
                for (index, character) in text.iter().enumerate() {
                    next[index + 1] = lengths[index] && (c == '?' || c == *character);
                }
            }
        }
        lengths = next;
    }
    lengths[text.len()]
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_matches_the_whole_text() {
        for (pattern, text, expected) in [
            ("prod", "prod", true),
            ("prod", "production", false),
            ("prod", "a-prod", false),
            ("prod-*", "prod-", true),
            ("prod-*", "prod-eu-1", true),
            ("*-prod", "eu-prod", true),
            ("*-prod", "prod", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("team-?", "team-1", true),
            ("team-?", "team-", false),
            ("team-?", "team-10", false),
            ("?", "é", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("[a-z]+.x", "abcx", false),
            ("Prod", "prod", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_in_a_pattern_do_not_slow_it_down() {
        let (pattern, text) = ("*a".repeat(500), "a".repeat(499));
        assert!(!matches(&pattern, &text));
    }

    /// The definition of a match.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| by_definition(rest, &text[n..])),
            Some((c, rest)) => text
                .split_first()
                .is_some_and(|(first, others)| (*c == '?' || c == first) && by_definition(rest, others)),
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_defined(pattern in "[ab*?]{0,8}", text in "[abc]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), by_definition(&chars(&pattern), &chars(&text)));
        }
    }
}
