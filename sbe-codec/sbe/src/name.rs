//! Names, which stand in JSON as they are.

use std::fmt;
use std::ops::Deref;

use rkyv::rancor::{Fallible, Source};
use rkyv::string::{ArchivedString, StringResolver};
use rkyv::{Archive, Deserialize, Place, Serialize, SerializeUnsized};

/// A name in a schema: letters, digits and `_`. It is read as the `str` that it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Name {
    text: String,
    /// It in quotes, as JSON has it, and zeros behind: what is copied in one step, whatever its length.
    quoted: [u8; Name::QUOTED_BYTES_MAX],
}

impl Name {
    /// FIX SBE 1.0, Message Schema: a symbolic name has at most 64 characters. Venues may have longer ones.
    pub(crate) const QUOTED_BYTES_MAX: usize = 66;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// It in quotes, and how many bytes of it count; nothing if it is too long.
    #[inline(always)]
    pub(crate) fn quoted(&self) -> Option<(&[u8; Name::QUOTED_BYTES_MAX], usize)> {
        let length = self.text.len() + 2;
        (length <= Name::QUOTED_BYTES_MAX).then_some((&self.quoted, length))
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        let mut quoted = [0; Name::QUOTED_BYTES_MAX];
        let bytes = format!("\"{text}\"").into_bytes();
        let length = bytes.len().min(quoted.len());
        quoted[..length].copy_from_slice(&bytes[..length]);
        Name { text: text.to_owned(), quoted }
    }
}

impl Default for Name {
    fn default() -> Name {
        Name::from("")
    }
}

impl Deref for Name {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.text, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

// In an image it is its text.

impl Archive for Name {
    type Archived = ArchivedString;
    type Resolver = StringResolver;

    fn resolve(&self, resolver: StringResolver, out: Place<ArchivedString>) {
        ArchivedString::resolve_from_str(self, resolver, out);
    }
}

impl<S: Fallible<Error: Source> + ?Sized> Serialize<S> for Name
where
    str: SerializeUnsized<S>,
{
    fn serialize(&self, serializer: &mut S) -> Result<StringResolver, S::Error> {
        ArchivedString::serialize_from_str(self, serializer)
    }
}

impl<D: Fallible + ?Sized> Deserialize<Name, D> for ArchivedString {
    fn deserialize(&self, _deserializer: &mut D) -> Result<Name, D::Error> {
        Ok(Name::from(self.as_str()))
    }
}
