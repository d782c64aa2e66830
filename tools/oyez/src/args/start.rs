//! Where to begin reading a topic, as it is written.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use oyez::{Sequence, Start};

/// A start of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct From(pub(crate) Start);

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        let start = match text.split_once(':') {
            None if text == "live" => Start::Live,
            None if text == "earliest" => Start::Earliest,
            Some(("sequence", number)) => {
                let number = number.parse().map_err(|_| format!("`{number}` is no sequence; write sequence:0"))?;
                Start::Sequence(Sequence(number))
            }
            Some(("time", time)) => Start::Time(time_ns(time)?),
            _ => {
                return Err(
                    "write live, earliest, sequence:7, time:2026-01-31T08:00:00Z, or time:5m for five minutes ago"
                        .to_owned(),
                );
            }
        };
        Ok(From(start))
    }
}

/// Nanoseconds since 1970 of a point in time: RFC 3339, such nanoseconds, or how long ago.
fn time_ns(text: &str) -> Result<u64, String> {
    if let Ok(ns) = text.parse() {
        return Ok(ns);
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    let time = ago.or_else(|| humantime::parse_rfc3339_weak(text).ok());
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let ns = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
    ns.ok_or_else(|| {
        format!(
            "`{text}` is no time; write time:2026-01-31T08:00:00Z, time: and nanoseconds since 1970, or time:5m for five \
             minutes ago"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood_and_everything_else_refused_with_the_remedy() {
        assert_eq!("live".parse(), Ok(From(Start::Live)));
        assert_eq!("earliest".parse(), Ok(From(Start::Earliest)));
        assert_eq!("sequence:7".parse(), Ok(From(Start::Sequence(Sequence(7)))));
        assert_eq!("time:1700000000000000001".parse(), Ok(From(Start::Time(1_700_000_000_000_000_001))));
        assert_eq!("time:1970-01-01T00:00:02Z".parse(), Ok(From(Start::Time(2_000_000_000))));
        let Ok(From(Start::Time(ago))) = "time:1h".parse() else { panic!("a duration is a time ago") };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        assert!((3_590_000_000_000..3_610_000_000_000).contains(&(now - ago)));
        for wrong in ["", "Live", "sequence:", "sequence:-1", "time:", "time:yesterday", "position:0"] {
            let refused = wrong.parse::<From>().expect_err(wrong);
            assert!(refused.contains("write "), "{refused}");
        }
    }
}
