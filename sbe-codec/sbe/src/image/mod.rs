//! A compiled schema as bytes, so that a process need not read XML. Offsets in bytes.
//!
//! ```text
//!   0  +------------------------------+
//!      | "oyez-sbe"                   |  what it is
//!   8  +------------------------------+
//!      | version  u32, little-endian  |  of this layout, that is of `ir` and of rkyv's format
//!  12  +------------------------------+
//!      | 0  u32                       |  reserved
//!  16  +------------------------------+
//!      | the schema, as rkyv keeps it |  little-endian, without alignment, pointers of 32 bits
//!      +------------------------------+
//! ```
//!
//! Foreign bytes are checked twice before they are a [`Schema`]: by bytecheck, that every pointer, length and number of a
//! variant is one, and by `sound`, that what the compiler promises of a schema holds of it.

mod sound;

use std::num::NonZeroUsize;

use rkyv::Archived;
use rkyv::api::access_with_context;
use rkyv::rancor::BoxedError;
use rkyv::validation::archive::ArchiveValidator;

use crate::compile::DEPTH_MAX;
use crate::ir::Schema;

const MAGIC: &[u8; 8] = b"oyez-sbe";
/// Raised whenever `ir` changes, or rkyv's format does: a golden image in the tests tells.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
/// Lists within one another: a message's groups, and fewer than eight around them and in them. bytecheck goes down them on
/// the stack before `sound` sees how many there are.
const LISTS_MAX: Option<NonZeroUsize> = NonZeroUsize::new(DEPTH_MAX as usize + 8);

/// Bytes that are no image of a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum ImageError {
    #[error("the bytes are no image of a schema, which begins with \"oyez-sbe\"; name another file")]
    NotAnImage,
    #[error("the image has version {found}, this build reads {expected}; compile the schema anew from its XML")]
    Version { found: u32, expected: u32 },
    #[error("the image is damaged: {reason}; compile the schema anew from its XML")]
    Damaged { reason: String },
}

impl Schema {
    /// The schema as bytes, for [`Schema::from_image`]. Equal schemas give equal bytes.
    ///
    /// # Panics
    /// If they are more than the 2 GiB that a pointer reaches.
    pub fn to_image(&self) -> Vec<u8> {
        let body = rkyv::to_bytes::<BoxedError>(self).expect("a schema is smaller than 2 GiB");
        [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4], &body].concat()
    }

    /// The schema of an image, which need not be aligned.
    ///
    /// # Errors
    /// If the bytes are no image, or of another version, or what they hold is no schema.
    pub fn from_image(image: &[u8]) -> Result<Schema, ImageError> {
        let (head, body) = image.split_first_chunk::<HEADER_BYTES>().ok_or(ImageError::NotAnImage)?;
        let (magic, tag) = head.split_first_chunk().ok_or(ImageError::NotAnImage)?;
        if magic != MAGIC {
            return Err(ImageError::NotAnImage);
        }
        let found = tag.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
        if found != VERSION {
            return Err(ImageError::Version { found, expected: VERSION });
        }
        let damaged = |reason: String| ImageError::Damaged { reason };
        let mut validator = ArchiveValidator::with_max_depth(body, LISTS_MAX);
        let schema = access_with_context::<Archived<Schema>, _, BoxedError>(body, &mut validator)
            .and_then(rkyv::deserialize::<Schema, BoxedError>)
            .map_err(|error| damaged(error.to_string()))?;
        match sound::fault(&schema) {
            Some(reason) => Err(damaged(reason.to_owned())),
            None => Ok(schema),
        }
    }
}
