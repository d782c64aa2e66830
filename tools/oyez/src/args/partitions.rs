//! Which partitions of a topic to read, as they are written.

use std::str::FromStr;

/// Some of them, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Partitions {
    All,
    Some(Vec<u16>),
}

impl FromStr for Partitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Partitions, String> {
        if text == "all" {
            return Ok(Partitions::All);
        }
        let number =
            |text: &str| text.parse().map_err(|_| format!("`{text}` is no partition; write 0, or 0,2, or all"));
        Ok(Partitions::Some(text.split(',').map(number).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_some_and_all_are_understood_and_everything_else_refused_with_the_remedy() {
        assert_eq!("all".parse(), Ok(Partitions::All));
        assert_eq!("0".parse(), Ok(Partitions::Some(vec![0])));
        assert_eq!("3,1,65535".parse(), Ok(Partitions::Some(vec![3, 1, 65_535])));
        for wrong in ["", "0,", "All", "-1", "65536", "0-3"] {
            assert!(wrong.parse::<Partitions>().is_err_and(|text| text.contains("write ")), "{wrong}");
        }
    }
}
