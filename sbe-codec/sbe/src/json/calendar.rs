//! Days of the Gregorian calendar, as RFC 3339 writes them.

/// Year, month and day of a day since 1970 in the Gregorian calendar; nothing outside the years 0 to 9999.
///
/// Years begin in March here, so that the day that leap years add is the last (Howard Hinnant's `civil_from_days`).
pub(super) fn date(day: i64) -> Option<(u32, u32, u32)> {
    const YEAR_0: i64 = -719_528;
    const YEAR_10000: i64 = 2_932_897;
    if !(YEAR_0..YEAR_10000).contains(&day) {
        return None;
    }
    // One era of 400 years earlier, so that January and February of the year 0 are not before the start.
    let day = (day + 719_468 + 146_097) as u32;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2) - 400;
    Some((year, month, of_year - (153 * from_march + 2) / 5 + 1))
}

/// The day since 1970 of a date in the years 0 to 9999; nothing if no calendar has it. The inverse of [`date`].
pub(super) fn day(year: u32, month: u32, day_of_month: u32) -> Option<i64> {
    if year > 9_999 || !(1..=12).contains(&month) || !(1..=31).contains(&day_of_month) {
        return None;
    }
    let year_from_march = year + 400 - u32::from(month <= 2);
    let (era, of_era) = (year_from_march / 400, year_from_march % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day_of_month - 1;
    let number = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let number = i64::from(number) - 719_468 - 146_097;
    // The 30th of February is a number too: that of a day in March.
    (date(number) == Some((year, month, day_of_month))).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_has_its_date() {
        let leap = |year: u32| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let (mut year, mut month, mut day) = (0, 1, 1);
        for number in -719_528..2_932_897 {
            assert_eq!(date(number), Some((year, month, day)));
            assert_eq!(super::day(year, month, day), Some(number));
            assert_eq!(super::day(year, month, if month == 2 && !leap(year) { 29 } else { 32 }), None);
            let days = match month {
                2 => 28 + u32::from(leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (month, day) = if day == days { (month + 1, 1) } else { (month, day + 1) };
            (year, month) = if month == 13 { (year + 1, 1) } else { (year, month) };
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
        assert_eq!((date(-719_529), date(2_932_897), date(i64::MAX), date(i64::MIN)), (None, None, None, None));
    }
}
