//! Files and folders as such: created once, replaced, moved, recognised, made durable. Nothing in
//! here knows a path of the layout.

pub(super) mod aside;
pub(super) mod files;
pub(super) mod group_sync;
pub(super) mod identity;
