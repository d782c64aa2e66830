//! Wide copies and zeroes: each asm block stands for a set of relaxed stores of the 8-byte words in its range.
//!
//! The compiler does not merge atomic words, and one at a time they cost a writer half of its frame. To the compiler a
//! block is opaque; to the machine a 16-byte store is two 8-byte words that are each written whole, in no promised
//! order, which is what relaxed stores are. Never non-temporal (that would leave the order of x86), and never the
//! commit word. Where this file is absent (other machines, loom, `--cfg plain_words` for sanitizers), words do the work.

/// Bytes of a range of `len_bytes` that [`copy`] or [`zero`] should take: a multiple of 64, none of a short range.
#[inline(always)]
pub(crate) const fn copied(len_bytes: usize) -> usize {
    if cfg!(target_arch = "x86_64") && len_bytes >= 128 { len_bytes & !63 } else { 0 }
}

/// Copies `len_bytes`, a multiple of 64.
///
/// # Safety
/// `target` is 8-byte aligned shared words, `len_bytes` of them inside one mapping; `source` is readable as far.
#[inline(always)]
#[allow(unsafe_code, reason = "one audited routine")]
pub(crate) unsafe fn copy(target: *mut u8, source: *const u8, len_bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    if len_bytes != 0 {
        // SAFETY: reads and writes 64 bytes a turn, `len_bytes / 64` turns, as the contract allows; SSE2 is baseline.
        unsafe {
            core::arch::asm!(
                "2:",
                "movups {a}, [{source} + {i}]",
                "movups {b}, [{source} + {i} + 16]",
                "movups {c}, [{source} + {i} + 32]",
                "movups {d}, [{source} + {i} + 48]",
                "movups [{target} + {i}], {a}",
                "movups [{target} + {i} + 16], {b}",
                "movups [{target} + {i} + 32], {c}",
                "movups [{target} + {i} + 48], {d}",
                "add {i}, 64",
                "cmp {i}, {len}",
                "jb 2b",
                source = in(reg) source, target = in(reg) target, len = in(reg) len_bytes, i = inout(reg) 0usize => _,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                options(nostack),
            );
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (target, source, len_bytes);
}

/// Zeroes `len_bytes`, a multiple of 64.
///
/// # Safety
/// `target` is 8-byte aligned shared words, `len_bytes` of them inside one mapping.
#[inline(always)]
#[allow(unsafe_code, reason = "one audited routine")]
pub(crate) unsafe fn zero(target: *mut u8, len_bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    if len_bytes != 0 {
        // SAFETY: writes 64 bytes a turn, `len_bytes / 64` turns, as the contract allows; SSE2 is baseline.
        unsafe {
            core::arch::asm!(
                "xorps {z}, {z}",
                "2:",
                "movups [{target} + {i}], {z}",
                "movups [{target} + {i} + 16], {z}",
                "movups [{target} + {i} + 32], {z}",
                "movups [{target} + {i} + 48], {z}",
                "add {i}, 64",
                "cmp {i}, {len}",
                "jb 2b",
                target = in(reg) target, len = in(reg) len_bytes, i = inout(reg) 0usize => _, z = out(xmm_reg) _,
                options(nostack),
            );
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (target, len_bytes);
}
