//! The two parties that a gateway stands between, in miniature: a site worth protecting and a
//! login page elsewhere. `tollgate demo` runs them beside a real gateway, and they show what the
//! protocol asks of each: of the site, to read a few headers; of the login page, one API call and
//! one redirect.

mod answer;
mod listen;
pub mod login;
pub mod site;
mod token_api;

#[cfg(test)]
mod testing;
