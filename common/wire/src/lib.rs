//! The words two Sluice processes share.
//!
//! Everything here is pure: no clock, no socket, no runtime. A process parses what it received into these types at its
//! border, and renders them when it speaks; nothing in between formats a key or a URL by hand.
//!
//! - [`mod@id`]: 64-bit, time-sorted ids and node names
//! - [`media`]: rungs, the URL grammar of published media ([`MediaPath`]) and the object-key grammar ([`ObjectKey`])
//! - [`tag`]: tags, versions and the headers that carry them; [`event`]: what the log says; [`purge`]: what operators
//!   ask to be forgotten
//! - [`channel`]: live channels, between origin and edge
//! - [`room`]: waiting rooms, between origin and edge
//! - [`image`]: variants of images, and their signatures
//! - [`seal`]: how media is sealed for delivery, and what names a content key
//! - [`boxes`]: where an MP4 file keeps its index
//! - [`conditions`]: ranges and validators of a request
//! - [`node`]: what edges report, [`reports`]: how that is signed; [`sketch`]: what they are asked for most
//! - [`routes`]: the table they get back; [`published`]: how that travels, signed;
//!   [`placement`]: who owns a key
//! - [`group`]: what is placed and fetched together; [`forecast`]: what will be asked for where; [`plan`]: what is fetched
//!   ahead of it
//! - [`fleet`]: what operators say of sites, nodes and outside CDNs
//! - [`ladder`]: which rungs a source becomes; [`codec`]: the frames between the transcoder and its codec child
//! - [`text`]: subtitles, captions and chapters, read strictly and written as WebVTT; [`mod@language`]: tags of languages
//! - [`token`]: what tokens and signed URLs say, apart from who signed them
//! - [`steering`]: who is served from where, and how players are told; [`geo`]: countries, positions
//! - [`cmcd`]: what players say of themselves, [`quality`]: what an edge makes of it
//! - [`compact`]: what happens in conversations, in few bytes
//! - [`problem`]: RFC 9457 problem details
//! - [`overload`]: what is given up when there is too much
//! - [`limits`]: every bound, each with how it was chosen; [`headers`]: field names
//!
//! What it leaves to others: input and output, time, storage, rendering playlists (the origin).

pub mod boxes;
pub mod channel;
pub mod cmcd;
pub mod codec;
pub mod compact;
pub mod conditions;
pub mod event;
pub mod fleet;
pub mod forecast;
pub mod geo;
pub mod group;
pub mod headers;
pub mod id;
pub mod image;
pub mod ladder;
pub mod language;
pub mod limits;
pub mod media;
pub mod node;
pub mod overload;
pub mod placement;
pub mod plan;
pub mod problem;
pub mod published;
pub mod purge;
pub mod quality;
pub mod reports;
pub mod room;
pub mod routes;
pub mod seal;
pub mod sketch;
pub mod steering;
pub mod tag;
pub mod text;
pub mod token;

pub use event::{Event, EventKind};
pub use fleet::FleetConfig;
pub use geo::{Country, Position};
pub use group::MediaGroup;
pub use id::{AccountId, FileId, JobId, NodeId, PhotoId, UploadId, VideoId};
pub use image::ImageVariant;
pub use language::Language;
pub use media::{Digest, MediaAsset, MediaPath, ObjectKey, RungName};
pub use node::{NodeReport, NodeState, ReportAnswer, Tier};
pub use placement::{Placement, PlacementKey};
pub use problem::Problem;
pub use routes::{RouteNode, RouteTable};
pub use seal::{KeyId, Protection};
pub use tag::{Tag, Version};
pub use text::{TextKind, TextName};
