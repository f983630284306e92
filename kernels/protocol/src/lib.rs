//! Types that gateway, node and agent share. This crate does no I/O.

pub mod control;
