//! The allocator as the program sets it: `clinlite finetune` and `clinlite pretrain` keep the pages that a step frees.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// See `keep_pages` of src/cli/finetune.rs.
pub(super) fn keep_pages() {
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // Safety: sets one number of the allocator that this binary uses; -1 is "never".
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
