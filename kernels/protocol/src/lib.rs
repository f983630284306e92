//! Types that gateway, node and agent share. This crate does no I/O.
#![forbid(unsafe_code)]

pub mod control;
pub mod egress;
pub mod execution;
