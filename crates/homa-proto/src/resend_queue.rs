//! Whose turn it is among the messages with something to send again.

use crate::error::NoMemory;
use crate::slab::RpcKey;
use alloc::collections::VecDeque;

/// Messages with something to send again, in turn. Those that are never held back, which are short or
/// go over no link, do not wait behind those that may be (HOMA-PACER-2).
#[derive(Debug, Default)]
pub(crate) struct ResendQueue {
    unpaced: VecDeque<RpcKey>,
    paced: VecDeque<RpcKey>,
}

impl ResendQueue {
    /// Makes room for so many entries, of whatever kind, so that `push` can't fail.
    pub(crate) fn reserve(&mut self, total: usize) -> Result<(), NoMemory> {
        for queue in [&mut self.unpaced, &mut self.paced] {
            let more = total.saturating_sub(queue.len());
            queue.try_reserve(more).map_err(|_| NoMemory)?;
        }
        Ok(())
    }

    /// A message waits for its turn. `is_paced`: it is held back while the link is busy.
    pub(crate) fn push(&mut self, key: RpcKey, is_paced: bool) {
        let queue = if is_paced { &mut self.paced } else { &mut self.unpaced };
        debug_assert!(queue.len() < queue.capacity(), "room is reserved");
        queue.push_back(key);
    }

    /// Takes the message whose turn it is; none that is held back, while the link is busy.
    pub(crate) fn pop(&mut self, is_link_busy: bool) -> Option<RpcKey> {
        let unpaced = self.unpaced.pop_front();
        unpaced.or_else(|| if is_link_busy { None } else { self.paced.pop_front() })
    }

    /// Removes all for which `keep` does not hold.
    pub(crate) fn retain(&mut self, keep: impl Fn(RpcKey) -> bool) {
        self.unpaced.retain(|&key| keep(key));
        self.paced.retain(|&key| keep(key));
    }

    pub(crate) fn len(&self) -> usize {
        self.unpaced.len() + self.paced.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
