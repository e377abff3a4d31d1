//! Transforms: other forms of what is kept, made here instead of being fetched.
//!
//! - `coding`: which coding a request prefers; `codable`: which answers are worth one; both pure
//! - `head`: fields of a coded form
//! - `code`: bytes into a coding; `forms`: the coded forms of one body, each made once; `select`: the form of an answer
//! - `images`: sizes and formats of images

mod codable;
mod code;
mod coding;
mod config;
mod forms;
mod head;
mod images;
mod select;

pub(crate) use codable::{forbids, is_codable, is_worth_coding};
pub(crate) use coding::{Accepts, Coding, coded_tag};
pub use config::TransformConfig;
pub(crate) use forms::Forms;
pub(crate) use head::{add_vary, code_head};
pub use images::ImagesConfig;
pub(crate) use images::{Asked, Images, Made, make as make_image};
pub(crate) use select::{Chosen, select};
