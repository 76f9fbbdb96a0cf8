//! Patterns for names: `*` is any text, `?` any one character, everything else itself.

/// Whether a pattern matches the whole of a text.
///
/// It takes at most the product of the two lengths, whatever the pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Which beginnings of the text the pattern so far can match, by their length.
    let mut lengths = vec![false; text.len() + 1];
    lengths[0] = true;
    for c in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        match c {
            '*' => {
                let mut any = false;
                for (length, can) in lengths.iter().enumerate() {
                    any |= can;
                    next[length] = any;
                }
            }
            c => {
                for (at, here) in text.iter().enumerate() {
                    next[at + 1] = lengths[at] && (c == '?' || c == *here);
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
    fn a_pattern_matches_the_whole_name_or_not_at_all() {
        for (pattern, text, right) in [
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
            assert_eq!(matches(pattern, text), right, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_longer_than_another() {
        let (pattern, text) = ("*a".repeat(500), "a".repeat(499));
        assert!(!matches(&pattern, &text));
    }

    /// The same question, answered by definition.
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
        fn patterns_mean_what_their_definition_says(pattern in "[ab*?]{0,8}", text in "[abc]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), by_definition(&chars(&pattern), &chars(&text)));
        }
    }
}
