//! Work that goes on to its end, even if whoever asked for it leaves.
//!
//! What takes several steps must not stop between two of them: a person would be out of one half of the
//! sessions, a token gone and no session there. But what answers a request is dropped when its client hangs
//! up, so such work is a task of its own. Only the end of the worker stops it: that waits for requests, but
//! not for what those began who have left. To them it is as if the process had been killed: they were told
//! nothing, and can ask again.

use crate::store::Unavailable;

/// What comes of `work`, which goes on to its end whether anybody waits for that or not.
pub(super) async fn to_its_end<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Unavailable> + Send + 'static,
{
    tokio::spawn(work).await.unwrap_or_else(|_| Err(Unavailable.into()))
}
