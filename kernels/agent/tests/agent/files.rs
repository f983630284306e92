//! `/files` (section 4.7 of the contract).
