//! Memory that nobody uses any more, on its way back to the system.

use std::hint::black_box;

/// More than the allocator puts together with anything else.
const A_PAGE_OF_ITS_OWN: usize = 1 << 20;

/// Has the allocator give back what has been free for a while; to be called about once a second.
///
/// mimalloc keeps free pages for a second, as they may be wanted again, and then gives all of them back when the
/// next one is freed. Once a crowd has come to rest nothing is freed for a long time, and what the crowd took
/// would be kept: so something is freed here. With another allocator this does nothing.
pub(super) fn give_back() {
    let mut page = Vec::<u8>::new();
    // Where there is no room for it, nothing is spare either.
    if page.try_reserve_exact(A_PAGE_OF_ITS_OWN).is_ok() {
        drop(black_box(page));
    }
}
