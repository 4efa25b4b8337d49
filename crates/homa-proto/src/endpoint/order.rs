//! The order of sending, and telling receivers what it means for them.

use super::Endpoint;
use crate::observer::Observer;
use crate::outgoing::Outgoing;
use crate::slab::RpcKey;
use homa_wire::Body;

impl<O: Observer> Endpoint<O> {
    /// Puts an RPC's outgoing message into the order of sending, if it may send anything.
    pub(super) fn schedule_send(&mut self, key: RpcKey) {
        let Some(rpc) = self.rpcs.get(key).filter(|rpc| !rpc.credit.held) else { return };
        let Some(out) = rpc.outgoing.as_ref().filter(|out| out.is_sendable()) else { return };
        let first_before = self.sender.first();
        self.sender.set(key.slot(), out.rank(), rpc.birth);
        if self.config.tell_held_min < u32::MAX {
            self.tell_held([Some(key.slot()), first_before]);
        }
    }

    /// Tells the receivers of these messages that what they granted has to wait, if the message that
    /// goes first has much to send: they may grant to others meanwhile (ADR 0013). To kernel peers
    /// BUSY is merely a sign of life.
    fn tell_held(&mut self, slots: [Option<u32>; 2]) {
        let Some(first) = self.sender.first() else { return };
        let first_bytes = self.outgoing_in(first).map_or(0, |out| out.sendable_bytes());
        if first_bytes < self.config.tell_held_min {
            return;
        }
        for slot in slots.into_iter().flatten().filter(|&slot| slot != first) {
            if let Some(key) = self.rpcs.key_at(slot)
                && self.outgoing_in(slot).is_some_and(Outgoing::tell_held)
            {
                self.send_control(key, Body::Busy);
            }
        }
    }

    fn outgoing_in(&mut self, slot: u32) -> Option<&mut Outgoing> {
        let key = self.rpcs.key_at(slot)?;
        self.rpcs.get_mut(key)?.outgoing.as_mut()
    }
}
