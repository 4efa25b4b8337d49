//! The deterministic swarm: many small worlds, each with its own mix of troubles, and checks of what
//! must hold in every one.
//!
//! A seed draws which [`Class`]es of trouble are on, how much of each there is, the configuration,
//! and between 2 and 16 hosts that call each other while the troubles last. Then all is healed. The
//! hosts run the real protocol core under a driver and applications that keep its contract.
//!
//! What is checked in every world:
//!
//! * **One outcome**: every call ends exactly once, as its application sees it.
//! * **At most one execution**: in one life of a server's host its application sees a request once.
//!   A host that crashed can't know what it did before: each life counts for itself. Packets are
//!   younger than `Timing::finished_memory` when they are handled, as PROTOCOL section 6 assumes.
//! * **Equal bytes**: a message consists of the bytes that were sent, each delivered once; a response
//!   is of one execution of its own request. What is sent is held by its sender.
//! * **Bounded memory**: no account is ever above its limit, and all tables agree.
//! * **Quiet**: once all calls have ended, nothing is left in any table, and no deadline is armed.
//! * **Progress**: in the healed world every call succeeds, within a bounded time.
//! * **No failure without a cause**: where packets are rarely lost, repeated and late, but nothing else
//!   happens, no call fails and no server gives up.
//!
//! With [`Class::Garbling`] messages are not what was sent; what is said about bytes and executions
//! is not demanded there.
//!
//! The bytes of a message are a function of its number and of the offset, and only both are carried:
//! the copying of bytes belongs to drivers, and is tested there.

mod application;
mod book;
mod dice;
mod mix;
mod station;
mod trouble;
mod verdict;
mod world;

pub use mix::{Class, Classes, Mix};
pub use verdict::{Failed, Passed, run, shrink};
