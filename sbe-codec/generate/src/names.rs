//! Names of the schema as names in Rust: the case that Rust has for their kind, no keyword, none twice in a scope.

use std::collections::HashSet;

/// What may not be a name, or would be taken for something else.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "core", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "rt", "self", "static", "struct",
    "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while",
    "yield",
];

/// Types that generated code names without a path, so that no type of a schema may stand for them, and a module.
const RESERVED_TYPES: &[&str] = &[
    "Decoder",
    "Encoder",
    "Entry",
    "EntryEncoder",
    "Err",
    "Fields",
    "From",
    "Group",
    "IntoIterator",
    "Item",
    "Iterator",
    "IntoIter",
    "Message",
    "None",
    "Ok",
    "OpenGroup",
    "Option",
    "Result",
    "Self",
    "Some",
    "TryFrom",
    // The module of the enums of Rust, beside those of messages.
    "known",
];

/// The names of one scope.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    taken: HashSet<String>,
}

impl Scope {
    /// One in which these names are taken.
    pub(crate) fn with(names: &[&str]) -> Scope {
        Scope { taken: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// One for types.
    pub(crate) fn of_types() -> Scope {
        Scope::with(RESERVED_TYPES)
    }

    /// The name, or the first free one that looks like it: `type_`, `price_2`, `price_3`.
    pub(crate) fn unique(&mut self, name: String) -> String {
        let name = if KEYWORDS.contains(&name.as_str()) { name + "_" } else { name };
        let numbered = (2_u32..).map(|number| format!("{}_{number}", name.trim_end_matches('_')));
        let mut free = std::iter::once(name.clone()).chain(numbered).filter(|name| !self.taken.contains(name));
        let name = free.next().unwrap_or(name);
        self.taken.insert(name.clone());
        name
    }
}

/// `feedSequence` is `feed_sequence`, `MDEntryPx` is `md_entry_px`.
pub(crate) fn snake(name: &str) -> String {
    sound(words(name).join("_").to_ascii_lowercase())
}

/// `oyez.sample` is `oyez_sample`; a package may be any text, or none.
pub(crate) fn module(package: &str) -> String {
    let name: String = package.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if package.is_empty() { "schema".to_owned() } else { snake(&name) }
}

/// `BestBid` is `BEST_BID`.
pub(crate) fn screaming(name: &str) -> String {
    sound(words(name).join("_").to_ascii_uppercase())
}

/// `messageHeader` is `MessageHeader`, `Price_T` is `PriceT`, `NO_SIDE` is `NoSide`; `PRICE9` stays.
pub(crate) fn camel(name: &str) -> String {
    let shouted = name.trim_matches('_').contains('_') && !name.contains(|c: char| c.is_ascii_lowercase());
    let word = |word: &str| match (word.split_at_checked(1), shouted) {
        (Some((first, rest)), true) => first.to_ascii_uppercase() + &rest.to_ascii_lowercase(),
        (Some((first, rest)), false) => first.to_ascii_uppercase() + rest,
        (None, _) => String::new(),
    };
    sound(name.split('_').map(word).collect())
}

/// The words of a name: parted by `_`, before a capital behind a small letter or digit, and before the last capital of
/// several if a small letter follows.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let letters = part.as_bytes();
        let mut word = String::new();
        for (at, letter) in letters.iter().enumerate() {
            let after_small = at > 0 && !letters[at - 1].is_ascii_uppercase();
            let before_small = at > 0 && letters.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            if letter.is_ascii_uppercase() && (after_small || before_small) {
                words.push(std::mem::take(&mut word));
            }
            word.push(char::from(*letter));
        }
        words.push(word);
    }
    words
}

/// A Rust name begins with a letter or `_`, and `_` alone is none.
fn sound(name: String) -> String {
    match name.as_bytes().first() {
        None => "unnamed".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_people_read_them() {
        let cases = [
            ("feedSequence", "feed_sequence", "FeedSequence"),
            ("MDEntryPx", "md_entry_px", "MDEntryPx"),
            ("NO_SIDE", "no_side", "NoSide"),
            ("PRICE9", "price9", "PRICE9"),
            ("Price_T", "price_t", "PriceT"),
            ("u8", "u8", "U8"),
            ("NoMDEntries2", "no_md_entries2", "NoMDEntries2"),
            ("_", "unnamed", "unnamed"),
            ("_2nd", "_2nd", "_2nd"),
        ];
        for (name, as_snake, as_camel) in cases {
            assert_eq!((snake(name).as_str(), camel(name).as_str()), (as_snake, as_camel));
        }
        assert_eq!(screaming("BestBid"), "BEST_BID");
    }

    #[test]
    fn a_name_is_given_once_and_no_keyword() {
        let mut scope = Scope::of_types();
        let names = ["type", "type", "price", "price", "price_2", "Option", "rt"];
        let given = names.map(|name| scope.unique(name.to_owned()));
        assert_eq!(given, ["type_", "type_2", "price", "price_2", "price_2_2", "Option_2", "rt_"]);
    }
}
