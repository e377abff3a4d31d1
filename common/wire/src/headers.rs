//! Names of the header fields that Sluice's own processes give a meaning to, in lower case.

/// Tags of an answer, separated by spaces.
pub const SURROGATE_KEY: &str = "surrogate-key";
/// Versions of the tags an answer reflects: `tag=version` members, separated by spaces.
pub const SLUICE_VERSION: &str = "sluice-version";
/// On a request between tiers: floors the asker holds, as `tag=version` members; an older copy must be fetched anew.
pub const SLUICE_FLOOR: &str = "sluice-floor";
/// On a client's request: versions that the answer must show at least, as `tag=version` members: what the answer to a write
/// said in [`SLUICE_VERSION`]. Where no origin has them, the answer is 412.
pub const SLUICE_AT_LEAST: &str = "sluice-at-least";
/// On a request between tiers: how far in the log the asker is. A node that is not so far must not answer out of its
/// cache.
pub const SLUICE_SEEN: &str = "sluice-seen";
/// On a request between tiers: whose target it is, as the first tier found.
pub const SLUICE_TENANT: &str = "sluice-tenant";
/// On a request between tiers and to the origin: whom the token names that an edge checked.
pub const SLUICE_OWNER: &str = "sluice-owner";
/// On an answer for media: the near edge that owns its group, and the version of the table by which it does:
/// `NODE; table=VERSION`. Whoever has the table comes to the same.
pub const SLUICE_PLACED: &str = "sluice-placed";
/// On a client's request: the token that lets it past a waiting room; several are separated by commas.
pub const SLUICE_ADMISSION: &str = "sluice-admission";
/// The node that answered the client.
pub const SLUICE_NODE: &str = "sluice-node";
/// On an answer of an origin: its body is a list that names fragments, in this form (`json`, `html`); a near edge puts them in.
pub const SLUICE_ASSEMBLE: &str = "sluice-assemble";
/// What caches on the way did with a request (RFC 9211 section 2).
pub const CACHE_STATUS: &str = "cache-status";
/// RFC 9213 section 3: freshness for caches that belong to the origin's operator.
pub const CDN_CACHE_CONTROL: &str = "cdn-cache-control";
/// As RFC 9213 section 2 has such fields, for our own edges alone: counts while an edge hears of every change.
pub const SLUICE_CACHE_CONTROL: &str = "sluice-cache-control";
/// On an answer, `token`: an edge hands it out for a token alone, whether it is kept or not; `list`: only as a fragment of a list
/// ([`SLUICE_ASSEMBLE`]), whose origin says who may have it. On a request between tiers, `checks`: the asker does so.
pub const SLUICE_ACCESS: &str = "sluice-access";
/// What an answer says in [`SLUICE_ACCESS`] that needs a token.
pub const ACCESS_TOKEN: &str = "token";
/// What an answer says in [`SLUICE_ACCESS`] that is for lists alone.
pub const ACCESS_LIST: &str = "list";
/// What a request says in [`SLUICE_ACCESS`] whose sender asks for tokens.
pub const ACCESS_CHECKS: &str = "checks";
/// RFC 8586 section 2: nodes a request passed, so that a loop is seen.
pub const CDN_LOOP: &str = "cdn-loop";
/// Where a request stands in its trace (W3C Trace Context, section 3.2).
pub const TRACEPARENT: &str = "traceparent";
/// The request's id, the trace id of `traceparent`. Answers say it to who brought none.
pub const REQUEST_ID: &str = "x-request-id";
/// Query parameter of a redirect between edges: names of the nodes that could not serve, separated by dots. Never part
/// of a cache key and never sent to a parent.
pub const TRIED_PARAM: &str = "sluice-tried";
/// The path at which an edge says how it is: no field, but a name that processes share all the same.
pub const HEALTH_PATH: &str = "/.well-known/sluice-health";
