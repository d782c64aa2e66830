//! What C hands over, checked as far as it can be: NULL, UTF-8, the sizes of structs. The rest is the caller's promise,
//! which opens the header.

use crate::error::Failure;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

/// Beyond this no struct of the ABI will ever be: more is a size that was never written.
const STRUCT_BYTES_MAX: usize = 4096;

/// A struct that may grow: it begins with its own size in bytes, as the caller's header knows it.
///
/// # Safety
/// `#[repr(C)]`, a `struct_size: u32` first, no padding, and every pattern of bits is a value of it.
pub(crate) unsafe trait SizedStruct: Copy {
    /// Its name in the header.
    const NAME: &'static str;
    /// Its size in the first header that had it: no program knows less of it.
    const BYTES_MIN: usize;
}

/// # Safety
/// NULL, or a text that ends with NUL and stays for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, so by the contract a text that ends with NUL.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Failure::argument(format!("`{name}` is no UTF-8; encode it so")))
}

/// # Safety
/// NULL, or a `T` that nobody writes during `'a`.
#[inline]
pub(crate) unsafe fn shared<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: the contract.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// # Safety
/// NULL, or a `T` that is the caller's alone during `'a`.
#[inline]
pub(crate) unsafe fn exclusive<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: the contract.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(name))
}

/// # Safety
/// Where `len` is not 0, NULL or `len` values that nobody writes during `'a`.
#[inline]
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, len: usize, name: &str) -> Result<&'a [T], Failure> {
    match (pointer.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        // SAFETY: not NULL, so by the contract as many values.
        _ => Ok(unsafe { std::slice::from_raw_parts(pointer, len) }),
    }
}

/// The size that the caller gives a struct.
///
/// # Safety
/// NULL, or a struct of the caller's that begins with its size.
#[inline]
pub(crate) unsafe fn struct_size<T: SizedStruct>(pointer: *const T) -> Result<usize, Failure> {
    // SAFETY: by the contract a u32 stands there.
    let size = unsafe { shared(pointer.cast::<u32>(), T::NAME) }.map(|size| *size as usize)?;
    const { assert!(T::BYTES_MIN <= size_of::<T>()) };
    // Of an array of them each begins where the one before ends.
    match (T::BYTES_MIN..=STRUCT_BYTES_MAX).contains(&size) && size.is_multiple_of(align_of::<T>()) {
        true => Ok(size),
        false => Err(wrong_size::<T>(size)),
    }
}

/// Reads a struct of the caller's. What an older header does not have is zero; what a newer one has put behind it must be,
/// for this library does not know it.
///
/// # Safety
/// NULL, or a struct of the caller's of the size that it begins with.
pub(crate) unsafe fn take<T: SizedStruct>(pointer: *const T) -> Result<T, Failure> {
    // SAFETY: the contract.
    let size = unsafe { struct_size(pointer) }?;
    let (bytes, known) = (pointer.cast::<u8>(), size.min(size_of::<T>()));
    // SAFETY: `size` is what the caller's struct has.
    let unknown = unsafe { slice(bytes.wrapping_add(known), size - known, T::NAME) }?;
    if unknown.iter().any(|byte| *byte != 0) {
        return Err(Failure::argument(format!(
            "`{}` asks for what this library does not know; install a newer",
            T::NAME
        )));
    }
    let mut taken = MaybeUninit::<T>::zeroed();
    // SAFETY: both structs have as many bytes, and ours is not the caller's.
    unsafe { bytes.copy_to_nonoverlapping(taken.as_mut_ptr().cast::<u8>(), known) };
    // SAFETY: every pattern of bits is a `T`, zeros among them.
    Ok(unsafe { taken.assume_init() })
}

/// Writes a struct of the caller's.
///
/// # Safety
/// NULL, or a struct of the caller's of the size that it begins with.
#[inline]
pub(crate) unsafe fn give<T: SizedStruct>(out: *mut T, value: T) -> Result<(), Failure> {
    // SAFETY: the contract.
    let size = unsafe { struct_size(out) }?;
    // SAFETY: a struct of that size.
    unsafe { give_sized(out, &value, size) };
    Ok(())
}

/// Writes as much of a struct as the caller's has, all but its size. What a newer header has put behind it stays as it is.
///
/// # Safety
/// A struct of the caller's of `size` bytes, which [`struct_size`] found to be one.
#[inline]
pub(crate) unsafe fn give_sized<T: SizedStruct>(out: *mut T, value: &T, size: usize) {
    match size < size_of::<T>() {
        // SAFETY: as many bytes are there, and ours is not the caller's.
        true => unsafe { std::ptr::from_ref(value).cast::<u8>().copy_to_nonoverlapping(out.cast::<u8>(), size) },
        // SAFETY: the struct is at least as large as `T`.
        false => unsafe { out.write(*value) },
    }
    // SAFETY: it begins with its size.
    unsafe { out.cast::<u32>().write(size as u32) };
}

/// A field that means nothing yet.
pub(crate) fn is_zero(reserved: u32, name: &str) -> Result<(), Failure> {
    match reserved {
        0 => Ok(()),
        _ => Err(Failure::argument(format!("`{name}.reserved` is {reserved}; fill the struct with zeros first"))),
    }
}

/// Writes a plain value.
///
/// # Safety
/// NULL, or a place for a `T`.
#[inline]
pub(crate) unsafe fn put<T>(out: *mut T, value: T, name: &str) -> Result<(), Failure> {
    if out.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, so by the contract a place for a `T`.
    unsafe { out.write(value) };
    Ok(())
}

/// Writes as much of a text as fits, and a NUL; returns the bytes of all of it.
///
/// # Safety
/// `capacity` bytes to be written at `out`, or none where `out` is NULL.
pub(crate) unsafe fn copy_text(text: &str, out: *mut c_char, capacity: usize) -> i32 {
    if !out.is_null() && capacity > 0 {
        let copied = cut(text, capacity - 1);
        // SAFETY: shorter than `capacity`, and the caller's memory is not within a text of ours.
        unsafe { std::ptr::copy_nonoverlapping(copied.as_ptr(), out.cast::<u8>(), copied.len()) };
        // SAFETY: as above.
        unsafe { out.wrapping_add(copied.len()).write(0) };
    }
    i32::try_from(text.len()).unwrap_or(i32::MAX)
}

/// As much of a text as has at most so many bytes, without half a character.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Hands out what is opened here as a handle; NULL where it cannot be.
///
/// # Safety
/// `out` is NULL, or a place for a handle.
pub(crate) unsafe fn hand_out<T, H>(
    out: *mut *mut H,
    name: &str,
    open: impl FnOnce() -> Result<T, Failure>,
) -> Result<i32, Failure> {
    // SAFETY: the contract.
    unsafe { put(out, std::ptr::null_mut(), name) }?;
    let handle = Box::into_raw(Box::new(open()?)).cast::<H>();
    // SAFETY: the contract.
    unsafe { put(out, handle, name) }?;
    Ok(0)
}

/// Takes a handle back, if it `may` be, and leaves NULL in its place; `None` for NULL, and where there was NULL already.
///
/// # Safety
/// `place` is NULL, or holds NULL or a handle that [`hand_out`] made of a `T`, which nobody else uses any more.
pub(crate) unsafe fn take_back<T, H>(
    place: *mut *mut H,
    may: impl FnOnce(&T) -> Result<(), Failure>,
) -> Result<Option<Box<T>>, Failure> {
    // SAFETY: the contract.
    let Some(place) = (unsafe { place.as_mut() }) else { return Ok(None) };
    let handle = place.cast::<T>();
    // SAFETY: the contract.
    let Some(value) = (unsafe { handle.as_ref() }) else { return Ok(None) };
    may(value)?;
    *place = std::ptr::null_mut();
    // SAFETY: by the contract a box of a `T` that is nobody else's, and no longer to be found.
    Ok(Some(unsafe { Box::from_raw(handle) }))
}

#[cold]
fn null(name: &str) -> Failure {
    Failure::argument(format!("`{name}` is NULL; pass one"))
}

#[cold]
fn wrong_size<T: SizedStruct>(size: usize) -> Failure {
    let (name, known) = (T::NAME, size_of::<T>());
    Failure::argument(format!("`{name}` has a struct_size of {size}, not of {known} bytes; set it to sizeof({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OYEZ_ERR_ARGUMENT;

    /// It began with two numbers.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Grown {
        struct_size: u32,
        first: u32,
        added: u64,
    }

    // SAFETY: as the trait asks: numbers behind a size.
    unsafe impl SizedStruct for Grown {
        const NAME: &'static str = "grown";
        const BYTES_MIN: usize = 8;
    }

    /// What a program has: a struct of the size that comes first, and behind it what is not the library's.
    #[repr(C, align(8))]
    struct Program([u32; 8]);

    fn of(size: u32) -> Program {
        Program([size, 1, 2, 0, 0, 0, 0, 0])
    }

    #[test]
    fn a_struct_that_has_grown_serves_programs_that_know_less_of_it_and_more() {
        let value = Grown { struct_size: 0, first: 7, added: u64::MAX };
        for (size, added, written) in [
            (8, 0, [8, 7, 2, 0, 0, 0, 0, 0]),
            (16, 2, [16, 7, u32::MAX, u32::MAX, 0, 0, 0, 0]),
            (24, 2, [24, 7, u32::MAX, u32::MAX, 0, 0, 0, 0]),
        ] {
            let mut program = of(size);
            let place = (&raw mut program).cast::<Grown>();
            // SAFETY: of at least the size that it begins with, as below.
            let taken = unsafe { take(place) }.expect("a size that was");
            assert_eq!(taken, Grown { struct_size: size, first: 1, added });
            // SAFETY: as above.
            unsafe { give(place, value) }.expect("a size that was");
            assert_eq!(program.0, written, "{size}");
        }
    }

    #[test]
    fn a_size_that_no_header_had_is_refused() {
        let mut wish = of(24);
        wish.0[5] = 1;
        for mut program in [of(0), of(4), of(12), of(17), of(4104), wish] {
            let size = program.0[0];
            // SAFETY: of the size that it begins with, where that is looked behind.
            let taken = unsafe { take((&raw mut program).cast::<Grown>()) };
            assert_eq!(taken.map_err(|failure| failure.code()), Err(OYEZ_ERR_ARGUMENT), "{size}");
        }
    }
}
