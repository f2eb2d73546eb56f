//! The adapters from outside: answers in, sheets or reasons out.

#[cfg(test)]
mod adversarial;
#[cfg(test)]
mod bidv;
#[cfg(test)]
mod captures;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod doji;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod ocb;
#[cfg(test)]
mod past;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tpbank;
#[cfg(test)]
mod vietcombank;
