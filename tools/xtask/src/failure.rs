//! Why a chore could not be done: one line with thing, place and remedy.

use std::fmt::{self, Display};

/// The one line that is told to the developer.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// What every chore answers.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Puts the place before what the system said, for use with `map_err`.
    pub(crate) fn at<E: Display>(place: impl Display) -> impl FnOnce(E) -> Failure {
        move |error| Failure(format!("{place}: {error}"))
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
