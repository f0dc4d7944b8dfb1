//! Regular expressions of subscriptions, in the syntax of RE2 that Kafka's consumer protocol speaks, matched by
//! the `regex` crate: both are linear in time, and differ in a few constructs, which are translated here.
//!
//! ```text
//! RE2 (as Kafka's re2j)          here
//! \Q...\E                        each character escaped
//! \101, \0                       the character of that number
//! \ before what is no letter     the character
//! { that begins no repetition    the character
//! [ & ~ - inside a class         escaped: no classes within classes, no set operations
//! flags other than imsU          refused
//! a** a+* a{2}{3}                refused: a repetition of a repetition
//! repetitions above 1,000        refused
//! escapes of later syntaxes      refused: \C \u \h \G
//! ```
//!
//! A subscription matches whole topic names.

use alloc::string::String;
use core::{iter::Peekable, str::Chars};

use regex::{Regex, RegexBuilder};

use crate::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX, REGEX_REPETITIONS_MAX};

/// It is not one, or it is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRegex;

/// A regular expression of a subscription.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    pub fn new(pattern: &str) -> Result<Self, InvalidRegex> {
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(InvalidRegex);
        }
        let whole = Translation::of(pattern)?;
        let mut builder = RegexBuilder::new(&whole);
        builder.size_limit(REGEX_COMPILED_BYTES_MAX).dfa_size_limit(REGEX_COMPILED_BYTES_MAX);
        builder.build().map(Self).map_err(|_| InvalidRegex)
    }

    pub fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

/// Classes that have names in both.
const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Of a repetition; what is far too large is too large.
fn number(ahead: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = ahead.next_if(char::is_ascii_digit) {
        let digit = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok())?;
        let before = number.unwrap_or(0).min(REGEX_REPETITIONS_MAX);
        number = Some(before * 10 + digit);
    }
    number
}

/// `:^xdigit:]`, and somewhat longer names, which are unknown.
const NAMED_CLASS_CHARS_MAX: usize = 20;

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Groups that are open.
    depth: usize,
    /// What came last is a repetition.
    is_repeated: bool,
}

impl<'a> Translation<'a> {
    fn of(pattern: &'a str) -> Result<String, InvalidRegex> {
        let mut this = Self {
            rest: pattern.chars().peekable(),
            out: String::new(),
            depth: 0,
            is_repeated: false,
        };
        this.out.push_str(r"\A(?:");
        while let Some(next) = this.rest.next() {
            this.outside_a_class(next)?;
        }
        // Otherwise the parenthesis around all of it would be the pattern's.
        if this.depth != 0 {
            return Err(InvalidRegex);
        }
        this.out.push_str(r")\z");
        Ok(this.out)
    }

    fn outside_a_class(&mut self, next: char) -> Result<(), InvalidRegex> {
        let was_repeated = core::mem::take(&mut self.is_repeated);
        match next {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.open_group(),
            ')' => {
                self.depth = self.depth.checked_sub(1).ok_or(InvalidRegex)?;
                self.out.push(')');
                Ok(())
            }
            '*' | '+' | '?' => {
                self.out.push(next);
                self.repeated(was_repeated)
            }
            '{' => self.counted(was_repeated),
            other => {
                self.out.push(other);
                Ok(())
            }
        }
    }

    /// After a backslash.
    fn escape(&mut self) -> Result<(), InvalidRegex> {
        match self.rest.next().ok_or(InvalidRegex)? {
            'Q' => self.quoted(),
            other => return self.escaped(other),
        }
        Ok(())
    }

    /// What means the same inside and outside a class.
    fn escaped(&mut self, escaped: char) -> Result<(), InvalidRegex> {
        match escaped {
            'C' | 'E' | 'G' | 'R' | 'U' | 'h' | 'u' => return Err(InvalidRegex),
            digit @ '0'..='7' => return self.octal(digit),
            letter @ ('p' | 'P' | 'x') if self.rest.peek() == Some(&'{') => {
                self.braced_escape(letter)
            }
            other if other.is_ascii_alphanumeric() => {
                self.out.push('\\');
                self.out.push(other);
            }
            other => self.literal(other),
        }
        Ok(())
    }

    /// `\p{Lu}`, or `\p{^Lu}`, which is `\P{Lu}`; `\x{41}`.
    fn braced_escape(&mut self, letter: char) {
        self.out.push('\\');
        self.rest.next();
        let is_negated = letter != 'x' && self.rest.next_if_eq(&'^').is_some();
        self.out.push(match letter {
            'p' if is_negated => 'P',
            'P' if is_negated => 'p',
            letter => letter,
        });
        self.out.push('{');
        self.braced();
    }

    /// To the closing brace. What stands there the crate checks.
    fn braced(&mut self) {
        for next in self.rest.by_ref() {
            self.out.push(next);
            if next == '}' {
                return;
            }
        }
    }

    /// Three digits, or less after a zero. One alone would be a reference to a group.
    fn octal(&mut self, first: char) -> Result<(), InvalidRegex> {
        let is_octal = |next: &char| ('0'..='7').contains(next);
        if first != '0' && !self.rest.peek().is_some_and(is_octal) {
            return Err(InvalidRegex);
        }
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            if let Some(digit) = self.rest.next_if(is_octal) {
                code = code * 8 + digit.to_digit(8).unwrap_or(0);
            }
        }
        self.literal(char::from_u32(code).ok_or(InvalidRegex)?);
        Ok(())
    }

    /// To its end, or the pattern's.
    fn quoted(&mut self) {
        while let Some(next) = self.rest.next() {
            if next == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(next);
        }
    }

    fn literal(&mut self, literal: char) {
        let is_plain = literal.is_ascii_alphanumeric() || !literal.is_ascii_punctuation();
        if !is_plain && !matches!(literal, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(literal);
    }

    fn open_group(&mut self) -> Result<(), InvalidRegex> {
        self.depth += 1;
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        // A name is checked by the crate.
        if matches!(self.rest.peek(), Some('P' | '<')) {
            return Ok(());
        }
        for flag in self.rest.by_ref() {
            match flag {
                'i' | 'm' | 's' | 'U' | '-' => self.out.push(flag),
                ':' => {
                    self.out.push(flag);
                    return Ok(());
                }
                ')' => {
                    self.out.push(flag);
                    self.depth -= 1;
                    return Ok(());
                }
                _ => return Err(InvalidRegex),
            }
        }
        Err(InvalidRegex)
    }

    /// After a repetition, which may be a lazy one.
    fn repeated(&mut self, was_repeated: bool) -> Result<(), InvalidRegex> {
        if was_repeated {
            return Err(InvalidRegex);
        }
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.is_repeated = true;
        Ok(())
    }

    /// After an opening brace: `2}`, `2,}`, `2,3}`, or anything else, which is no repetition.
    fn counted(&mut self, was_repeated: bool) -> Result<(), InvalidRegex> {
        let mut ahead = self.rest.clone();
        let Some(least) = number(&mut ahead) else { return self.brace() };
        let most = match ahead.next_if_eq(&',') {
            Some(_) => number(&mut ahead).or((ahead.peek() == Some(&'}')).then_some(0)),
            None => Some(0),
        };
        let (Some(most), Some('}')) = (most, ahead.next()) else { return self.brace() };
        if least.max(most) > REGEX_REPETITIONS_MAX {
            return Err(InvalidRegex);
        }
        self.out.push('{');
        self.braced();
        self.repeated(was_repeated)
    }

    fn brace(&mut self) -> Result<(), InvalidRegex> {
        self.out.push_str(r"\{");
        Ok(())
    }

    /// Brackets and their content.
    fn class(&mut self) -> Result<(), InvalidRegex> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut is_first = true;
        let mut before = None;
        while let Some(next) = self.rest.next() {
            match next {
                ']' if !is_first => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => self.escape_in_class()?,
                '[' if self.is_at_a_named_class() => self.named_class()?,
                ']' | '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(next);
                }
                // The second of two would be an operation.
                '-' if before == Some('-') || self.rest.peek() == Some(&'-') => {
                    self.out.push_str(r"\-");
                }
                other => self.out.push(other),
            }
            is_first = false;
            before = Some(next);
        }
        Err(InvalidRegex)
    }

    fn escape_in_class(&mut self) -> Result<(), InvalidRegex> {
        match self.rest.next().ok_or(InvalidRegex)? {
            'Q' => self.quoted(),
            other => return self.escaped(other),
        }
        Ok(())
    }

    /// After its first bracket. Looks no further than a name is long: brackets may follow each other for long.
    fn is_at_a_named_class(&self) -> bool {
        let mut next = self.rest.clone().take(NAMED_CLASS_CHARS_MAX);
        if next.next() != Some(':') {
            return false;
        }
        next.by_ref().find(|next| *next == ':').is_some() && next.next() == Some(']')
    }

    /// `[:alpha:]`
    fn named_class(&mut self) -> Result<(), InvalidRegex> {
        self.rest.next();
        let mut name = String::new();
        while let Some(next) = self.rest.next_if(|next| *next != ':') {
            name.push(next);
        }
        self.rest.next();
        let is_known = NAMED_CLASSES.contains(&name.trim_start_matches('^'));
        if !is_known || self.rest.next() != Some(']') {
            return Err(InvalidRegex);
        }
        self.out.push_str("[:");
        self.out.push_str(&name);
        self.out.push_str(":]");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use proptest::prelude::{any, proptest};

    use super::Pattern;
    use crate::limits::REGEX_BYTES_MAX;

    const TOPICS: [&str; 6] = ["orders", "orders-2", "a.b", "a|b", "clicks_1", "x"];

    fn matching(pattern: &str) -> Vec<&'static str> {
        let pattern = Pattern::new(pattern).unwrap();
        TOPICS.into_iter().filter(|topic| pattern.matches(topic)).collect()
    }

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        let rows: &[(&str, &[&str])] = &[
            ("orders", &["orders"]),
            ("ord.*", &["orders", "orders-2"]),
            (".*", &TOPICS),
            ("orders|x", &["orders", "x"]),
            ("a.b", &["a.b", "a|b"]),
            (r"\Qa.b\E", &["a.b"]),
            (r"\Qa|b", &["a|b"]),
            (r"[\Qa|\E].b", &["a.b", "a|b"]),
            (r"\170|\x78", &["x"]),
            ("x{,2}|orders{1}", &["orders"]),
            (r"a\.b|a\|b", &["a.b", "a|b"]),
            ("a[[.]b", &["a.b"]),
            ("a[&.&&]b", &["a.b"]),
            ("a[.--]b", &["a.b"]),
            ("a[]|]b", &["a|b"]),
            ("[[:alpha:]]+", &["orders", "x"]),
            ("(?i)ORDERS", &["orders"]),
            ("(?i:ORDERS)", &["orders"]),
            (r"\w+_\d", &["clicks_1"]),
            (r"\pL+|[\p{Ll}]{2}", &["orders", "x"]),
            (r"\x{78}|\P{^Lu}\p{^Lu}{4}\pL", &["x"]),
            ("(?P<name>x)", &["x"]),
            ("[a-z]{6}(-[0-9])?", &["orders", "orders-2"]),
            ("^orders$", &["orders"]),
        ];
        for (pattern, topics) in rows {
            assert_eq!(matching(pattern), *topics, "{pattern}");
        }
    }

    /// In linear time: this took half a second.
    #[test]
    fn brackets_may_follow_each_other_for_long() {
        let brackets = "[".repeat(REGEX_BYTES_MAX - 2);
        assert!(Pattern::new(&format!("{brackets}]")).unwrap().matches("["));
        assert!(Pattern::new(&"[:".repeat(REGEX_BYTES_MAX / 2)).is_err());
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        let long = "x".repeat(REGEX_BYTES_MAX + 1);
        let rows = [
            "(",
            ")",
            "a)|(b",
            "[",
            "[a",
            "*",
            "a**b)",
            r"\",
            r"a\E",
            "(?x)a",
            "(?u:a)",
            "a{1001}",
            "a{2,1001}",
            "(?=a)",
            r"(a)\1",
            "a{1000}{1000}",
            "[[:nonsense:]]",
            &long,
        ];
        for pattern in rows {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in any::<String>(), topic in "[a-z.\\[\\]{}()|&-]{0,12}") {
            for pattern in [pattern, topic.clone(), format!("[{topic}]")] {
                if let Ok(pattern) = Pattern::new(&pattern) {
                    pattern.matches(&topic);
                }
            }
        }
    }
}
