//! Checks the syntax of regular expressions as Go's package `regexp` does, which Prometheus uses. It is that of RE2
//! without `\C`.
//!
//! Source: `src/regexp/syntax/parse.go` of Go 1.26, function `parse`, with the flags of `regexp.Compile`. Other parsers
//! of regular expressions differ in both directions: the crate `regex-syntax` refuses `\Q`, `{` as a literal and octal
//! escapes, and accepts `a**`, `(?x)`, `[a&&b]`, `[[a]b]` and names such as `\p{sc=Greek}`.
//!
//! Go's limits for the size of a compiled expression are not checked, only those for repetitions and nesting.

use crate::input::shown;

/// The largest number in `{n,m}`, also multiplied with those of the groups around it.
const MAX_REPEAT: u64 = 1_000;
/// The deepest nesting of groups.
const MAX_DEPTH: usize = 1_000;

/// Checks the expression that Prometheus compiles for a `regex` (`NewRegexp` in `model/relabel/relabel.go`).
///
/// The text is only inserted, so `a)|(b` is valid, and `a\` is not.
///
/// # Errors
/// What is wrong.
pub(super) fn check(regex: &str) -> Result<(), String> {
    let text = format!("^(?s:{regex})$");
    let mut parser = Parser {
        rest: &text,
        groups: vec![Group::default()],
    };
    parser.parse().map_err(|why| {
        let backslashes = regex.len() - regex.trim_end_matches('\\').len();
        match backslashes % 2 {
            1 => "it ends with a single backslash".to_owned(),
            _ => why,
        }
    })
}

struct Parser<'a> {
    rest: &'a str,
    /// The groups that are not closed. The first one is the whole expression.
    groups: Vec<Group>,
}

/// A group that is not closed.
#[derive(Default)]
struct Group {
    /// The repetition of the last item, or `None` if there is nothing to repeat: at the beginning, and after `|`.
    last: Option<u64>,
    /// The largest repetition of the other items.
    largest: u64,
}

impl Group {
    fn push(&mut self, repetition: u64) {
        self.largest = self.largest.max(self.last.unwrap_or(0));
        self.last = Some(repetition);
    }
}

impl<'a> Parser<'a> {
    fn parse(&mut self) -> Result<(), String> {
        let mut after_repetition = false;
        while let Some(c) = self.peek() {
            let was_repetition = std::mem::take(&mut after_repetition);
            match c {
                '(' => self.group()?,
                '|' => {
                    self.next();
                    let group = self.current();
                    group.largest = group.largest.max(group.last.take().unwrap_or(0));
                }
                ')' => {
                    self.next();
                    let group = self.groups.pop().filter(|_| !self.groups.is_empty());
                    let group = group.ok_or("it has a ) without (")?;
                    let repetition = group.largest.max(group.last.unwrap_or(0));
                    self.current().push(repetition);
                }
                '[' => {
                    self.next();
                    self.class()?;
                    self.item();
                }
                '*' | '+' | '?' => {
                    self.next();
                    self.repeat(c.to_string(), None, was_repetition)?;
                    after_repetition = true;
                }
                '{' => match counts(self.rest) {
                    Some((text, count)) => {
                        self.rest = &self.rest[text.len()..];
                        self.repeat(text.to_owned(), Some(count?), was_repetition)?;
                        after_repetition = true;
                    }
                    None => {
                        self.next();
                        self.item();
                    }
                },
                '\\' => self.escape()?,
                _ => {
                    self.next();
                    self.item();
                }
            }
        }
        match self.groups.len() {
            1 => Ok(()),
            _ => Err("it has a ( without )".to_owned()),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn skip(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn current(&mut self) -> &mut Group {
        if self.groups.is_empty() {
            self.groups.push(Group::default());
        }
        let last = self.groups.len() - 1;
        &mut self.groups[last]
    }

    /// An item that is not a group.
    fn item(&mut self) {
        self.current().push(1);
    }

    /// A repetition of the last item. `count` is the number in braces.
    fn repeat(&mut self, shown: String, count: Option<u64>, after_repetition: bool) -> Result<(), String> {
        self.skip("?");
        if after_repetition {
            return Err(format!("a repetition follows another one: {shown}"));
        }
        let last = self.current().last.as_mut();
        let last = last.ok_or_else(|| format!("nothing precedes the repetition {shown}"))?;
        if let Some(count) = count {
            *last *= count;
            if count >= 2 && *last > MAX_REPEAT {
                return Err(format!("it repeats more than {MAX_REPEAT} times: {shown}"));
            }
        }
        Ok(())
    }

    /// The beginning of a group, or flags (function `parsePerlFlags`).
    fn group(&mut self) -> Result<(), String> {
        let start = self.rest;
        self.next();
        if !self.skip("?") {
            return self.open();
        }
        let is_lookbehind = ["<=", "<!"].iter().any(|kind| self.rest.starts_with(kind));
        if !is_lookbehind && (self.skip("P<") || self.skip("<")) {
            let (name, rest) = self.rest.split_once('>').ok_or("the name of a group has no >")?;
            self.rest = rest;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(format!("the name of a group is not valid: {}", head(start)));
            }
            return self.open();
        }
        let (mut negative, mut has_flag) = (false, false);
        loop {
            match self.next() {
                Some('i' | 'm' | 's' | 'U') => has_flag = true,
                Some('-') if !negative => (negative, has_flag) = (true, false),
                Some(end @ (':' | ')')) if has_flag || !negative => {
                    return if end == ':' { self.open() } else { Ok(()) };
                }
                _ => return Err(format!("RE2 has no such group: {}", head(start))),
            }
        }
    }

    fn open(&mut self) -> Result<(), String> {
        if self.groups.len() > MAX_DEPTH {
            return Err(format!("its groups are nested deeper than {MAX_DEPTH} levels"));
        }
        self.groups.push(Group::default());
        Ok(())
    }

    /// An escape outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        if self.skip("\\Q") {
            let (literal, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            if !literal.is_empty() {
                self.item();
            }
            return Ok(());
        }
        let known = ["\\A", "\\b", "\\B", "\\z"].iter().any(|escape| self.skip(escape));
        if !known && !self.named_class()? {
            self.character()?;
        }
        self.item();
        Ok(())
    }

    /// A class of Unicode or Perl: `\pN`, `\P{Greek}`, `\d` (functions `parseUnicodeClass` and `parsePerlClassEscape`).
    fn named_class(&mut self) -> Result<bool, String> {
        if ["\\d", "\\D", "\\s", "\\S", "\\w", "\\W"]
            .iter()
            .any(|escape| self.skip(escape))
        {
            return Ok(true);
        }
        if !self.skip("\\p") && !self.skip("\\P") {
            return Ok(false);
        }
        let name = match self.rest.strip_prefix('{') {
            Some(braced) => {
                let (name, rest) = braced.split_once('}').ok_or("a \\p{ has no }")?;
                self.rest = rest;
                name.to_owned()
            }
            None => self.next().map(String::from).unwrap_or_default(),
        };
        match is_unicode_class(name.strip_prefix('^').unwrap_or(&name)) {
            true => Ok(true),
            false => Err(format!("Unicode has no class {}", head(&name))),
        }
    }

    /// An escaped character (function `parseEscape`).
    fn character(&mut self) -> Result<char, String> {
        let start = self.rest;
        let invalid = || {
            format!(
                "RE2 has no escape {}",
                shown(&start.chars().take(2).collect::<String>())
            )
        };
        self.next();
        match self.next().ok_or_else(invalid)? {
            'x' => {
                let digits = if self.skip("{") {
                    let (digits, rest) = self.rest.split_once('}').ok_or_else(invalid)?;
                    self.rest = rest;
                    digits
                } else {
                    let (digits, rest) = self.rest.split_at_checked(2).ok_or_else(invalid)?;
                    self.rest = rest;
                    digits
                };
                let digits = Some(digits).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
                let code = digits.and_then(|text| u32::from_str_radix(text, 16).ok());
                let code = code.filter(|code| *code <= u32::from(char::MAX)).ok_or_else(invalid)?;
                // Go also accepts surrogates, which no text contains.
                Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            c @ '0'..='7' => {
                let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
                let mut code = c.to_digit(8).unwrap_or_default();
                // A single digit other than 0 is a reference to a group, which RE2 does not have.
                if c != '0' && octal(self.peek()).is_none() {
                    return Err(invalid());
                }
                for _ in 0..2 {
                    let Some(digit) = octal(self.peek()) else { break };
                    code = code * 8 + digit;
                    self.next();
                }
                char::from_u32(code).ok_or_else(invalid)
            }
            'a' => Ok('\u{7}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
            _ => Err(invalid()),
        }
    }

    /// The rest of a class, after its `[` (function `parseClass`). A `[`, `&&`, `--` and `~~` are literals in it.
    fn class(&mut self) -> Result<(), String> {
        let start = self.rest;
        self.skip("^");
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.posix_class()? || self.named_class()? {
                continue;
            }
            let low = self.class_character()?;
            let mut after = self.rest.chars();
            if after.next() == Some('-') && after.next().is_some_and(|c| c != ']') {
                self.next();
                if self.class_character()? < low {
                    return Err(format!("a range of this class is reversed: {}", head(start)));
                }
            }
        }
        self.next();
        Ok(())
    }

    fn class_character(&mut self) -> Result<char, String> {
        match self.peek() {
            Some('\\') => self.character(),
            _ => self.next().ok_or_else(|| "it has a [ without ]".to_owned()),
        }
    }

    /// A class such as `[:alpha:]` in a class (function `parseNamedClass`).
    fn posix_class(&mut self) -> Result<bool, String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        let after = self.rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]"));
        let Some((name, rest)) = after else {
            return Ok(false);
        };
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("it has an unknown class [:…:]: {}", head(name)));
        }
        self.rest = rest;
        Ok(true)
    }
}

/// The text `{n}`, `{n,}` or `{n,m}` at the beginning, and the number that counts for [`MAX_REPEAT`] (function
/// `repeat`). `None` if the `{` is a literal.
#[allow(clippy::type_complexity)]
fn counts(text: &str) -> Option<(&str, Result<u64, String>)> {
    let (inner, _) = text.strip_prefix('{')?.split_once('}')?;
    let whole = &text[..inner.len() + 2];
    let (min, max) = inner.split_once(',').unwrap_or((inner, inner));
    let number = |digits: &str| {
        let valid = !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'));
        valid.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let min = number(min)?;
    let max = if max.is_empty() { None } else { Some(number(max)?) };
    let count = match max {
        _ if min.max(max.unwrap_or(0)) > MAX_REPEAT => Err(format!("it repeats more than {MAX_REPEAT} times: {whole}")),
        Some(max) if min > max => Err(format!("the repetition {whole} is reversed")),
        // `{0,}` repeats like `*`.
        None => Ok(min.max(1)),
        Some(max) => Ok(max),
    };
    Some((whole, count))
}

/// The beginning of a text, for messages, without the end that [`check`] adds.
fn head(text: &str) -> String {
    let text: String = text.strip_suffix(")$").unwrap_or(text).chars().take(12).collect();
    shown(&text)
}

/// Whether Go has a Unicode table of this name: a category, a script, or `Any` (package `unicode`).
fn is_unicode_class(name: &str) -> bool {
    const CATEGORIES: &str = "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z \
                              Zl Zp Zs Any";
    let mut names = CATEGORIES
        .split_ascii_whitespace()
        .chain(SCRIPTS.split_ascii_whitespace());
    names.any(|known| known == name)
}

/// The scripts of Unicode 15, the version of Go 1.21 to 1.26.
const SCRIPTS: &str = "\
Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki \
Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee \
Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan \
Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi \
Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited \
Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi \
Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian \
Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui \
Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari \
Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic \
Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage \
Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan \
Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri \
Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh \
Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square";

#[cfg(test)]
mod tests;
