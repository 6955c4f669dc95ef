//! Files and folders as such: how they are created once, replaced, moved, recognised and made
//! durable.
//!
//! Nothing in here knows a path of the layout, so that these rules hold wherever they are used.

pub(super) mod aside;
pub(super) mod files;
pub(super) mod group_sync;
pub(super) mod identity;
pub(super) mod tree;
