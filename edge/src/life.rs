//! A request's life: one enum of phases, a function for each.
//!
//! ```text
//! accept -> beacon
//! accept -> authorise -> normalise -> (catch up) -> lookup -> deliver
//!                           |-> recall   -> deliver | collapse | alone
//!                           |-> collapse -> deliver | redirect | refuse
//!                           |-> sliced -> deliver | redirect | refuse
//!                           |-> leave    -> redirect | lookup
//!                           |-> alone    -> deliver | redirect | refuse
//!                           |-> pass
//!                           |-> tunnel
//!                           |-> live
//!                           |-> room
//!                           `-> guard -> normalise | refuse
//! ```

mod ahead;
mod assembled;
mod fetch;
mod image;
mod lookup;
mod pass;
mod planned;
mod pump;
mod race;
mod shed;
mod slice;
mod sliced;
mod tunnel;

pub(crate) use ahead::Ahead;
pub(crate) use planned::{Filler, fill};

use crate::access::{Carried, Dress, Owner, Proof, Verdict};
use crate::cache::slicing::Sliced;
use crate::cache::{Filled, Gone, Key, Object, Permit, Standing};
use crate::deliver::{self, Served};
use crate::edge::Shared;
use crate::floors::{self, marks};
use crate::gate::{self, Target};
use crate::live::{Brought, Door};
use crate::metrics::{Miss, Outcome};
use crate::parent::NoAnswer;
use crate::tenant::Tenant;
use crate::transform::{self, Asked};
use crate::{account, cmcd, live as channels, probe, redirect, rooms, streams, watchdog};
use http::HeaderName;
use http::Method;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use sluice_service::{HttpRequest, HttpResponse, Peer, WebSocket, problem_response};
use sluice_wire::headers::{
    SLUICE_AT_LEAST, SLUICE_FLOOR, SLUICE_OWNER, SLUICE_PLACED, SLUICE_SEEN, SLUICE_TENANT,
};
use sluice_wire::tag::{Tag, Version, parse_versions};
use sluice_wire::{MediaPath, Problem, Tier};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Time until a fill's head must be there, over all its parents.
const FILL_LIMIT: Duration = Duration::from_secs(14);
/// How long a player waits for media before it is sent to another edge, while a parent here is silent: less than it waits for a
/// first byte (2 s, as docs/control.md recommends).
const ELSEWHERE: Duration = Duration::from_millis(1_500);
/// How long one who has a stale copy that may stand in waits for news.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a node waits for its own feed when the asker is further: several times what an event takes to all nodes.
const CATCH_UP: Duration = Duration::from_millis(250);
/// Fills tried for one request when what they bring is below its floors, or of another form.
const FILL_TRIES: u32 = 3;

/// Why a request goes forward that the cache is not asked about, as RFC 9211 calls it.
const BYPASS: &str = "bypass";

/// A request that was let in.
pub(crate) struct Ask {
    pub(crate) request: HttpRequest,
    pub(crate) target: Target,
    /// Whose it is.
    pub(crate) tenant: Tenant,
    /// What the target is kept under.
    pub(crate) key: Key,
    /// Versions that the asker (a lower tier) knows of.
    pub(crate) floors: Vec<(Tag, Version)>,
    tries: u32,
    /// Counted among the misses: a request is one once, however often it is tried.
    missed: bool,
}

/// What a fetch is for.
struct Wanted {
    /// What is fetched under: the target's key, or a variant's.
    key: Key,
    /// What is kept and cannot be served as it is.
    stale: Option<Arc<Object>>,
    /// Why it goes forward, as RFC 9211 calls it.
    why: &'static str,
    /// Why nothing was there, if something had been.
    gone: Option<Gone>,
    /// A slice to begin with, and not the whole.
    slice: Option<fetch::Slice>,
}

/// Where a request is in its life.
enum Phase {
    Accept(HttpRequest),
    Beacon(HttpRequest),
    Authorise(HttpRequest, Target),
    Normalise(HttpRequest, Target),
    CatchUp(Ask, u64),
    Lookup(Ask),
    Image(Ask, Asked),
    Recall(Ask, Wanted),
    Collapse(Ask, Wanted),
    Alone(Ask),
    Leave(Ask),
    Sliced(Ask, Arc<Sliced>),
    Deliver(Ask, Arc<Object>, Served),
    Pass(Ask),
    Tunnel(Ask),
    Live(Door, HttpRequest, Target),
    Room(rooms::Door, Method, Target),
    Guard(HttpRequest, Target),
    Unserved(Ask, NoAnswer),
    Done(HttpResponse, Outcome),
}

/// Lives a request's life.
pub(crate) async fn live(edge: Arc<Shared>, request: HttpRequest) -> HttpResponse {
    let active = edge.metrics.active.clone();
    active.inc();
    let _gone = OnDrop(move || active.dec());
    if let Some(answer) = probe::answer(&edge, &request) {
        return answer;
    }
    let (asker, of_list) = (assembled::Asker::of(&edge, &request), assembled::is_of_list(&request));
    let (mut dress, mut placed) = (Dress::default(), None);
    let mut phase = Phase::Accept(request);
    loop {
        phase = match phase {
            Phase::Accept(request) => accept(&edge, request),
            Phase::Beacon(request) => beacon(&edge, request).await,
            Phase::Authorise(request, target) => authorise(&edge, request, target, &mut dress),
            Phase::Normalise(request, target) => {
                placed = place(&edge, &request, &target);
                normalise(&edge, request, target)
            }
            Phase::CatchUp(ask, seen) => catch_up(&edge, ask, seen).await,
            Phase::Lookup(ask) => lookup::lookup(&edge, ask),
            Phase::Image(ask, asked) => image::serve(&edge, ask, asked).await,
            Phase::Recall(ask, wanted) => lookup::recall(&edge, ask, wanted).await,
            Phase::Collapse(ask, wanted) => collapse(&edge, ask, wanted).await,
            Phase::Sliced(ask, sliced) => sliced::answer(&edge, ask, sliced).await,
            Phase::Alone(ask) => alone(&edge, ask).await,
            Phase::Leave(ask) => leave(&edge, ask),
            Phase::Deliver(ask, object, served) => answer_from(&edge, ask, object, served).await,
            Phase::Pass(ask) => pass::pass(&edge, ask).await,
            Phase::Tunnel(ask) => tunnel::tunnel(&edge, ask).await,
            Phase::Live(door, request, target) => listen(&edge, door, request, target).await,
            Phase::Room(door, method, target) => wait_in_line(&edge, door, &method, &target).await,
            Phase::Guard(request, target) => guard(&edge, request, target).await,
            Phase::Unserved(ask, why) => unserved(&edge, &ask, why),
            Phase::Done(mut answer, outcome) => {
                if let Some(asker) = &asker {
                    answer = asker.assembled(&edge, answer).await;
                }
                if let Some(placed) = placed {
                    answer.headers_mut().insert(HeaderName::from_static(SLUICE_PLACED), placed);
                }
                if of_list {
                    dress.proof = Proof::List;
                }
                let refused = dress.put_on(&mut answer);
                refused.into_iter().for_each(|why| edge.metrics.access(why.as_str()));
                edge.metrics.count(if refused.is_some() { Outcome::Refused } else { outcome });
                return answer;
            }
        };
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn accept(edge: &Shared, mut request: HttpRequest) -> Phase {
    let refuse = |problem| Phase::Done(problem_response(problem), Outcome::Refused);
    if gate::loops(request.headers(), &edge.config.node) {
        return refuse(
            Problem::new(508, "loop", "Loop detected").detail("this node has passed the request before"),
        );
    }
    match gate::target(&request, &edge.live().methods) {
        Ok(target) if target.path == cmcd::PATH && edge.config.tier == Tier::Near => Phase::Beacon(request),
        Ok(target) if channels::is_inner(&target.path) && edge.config.tier == Tier::Near => {
            refuse(Problem::new(404, "not-found", "Not found").detail("there is nothing here"))
        }
        Ok(target) => {
            if Door::of(&target.path).is_some() {
                let brought = Brought::of(request.headers());
                request.extensions_mut().insert(brought);
            }
            Phase::Authorise(request, target)
        }
        Err(problem) => refuse(problem),
    }
}

/// Live channels end here.
async fn listen(edge: &Arc<Shared>, door: Door, request: HttpRequest, target: Target) -> Phase {
    let mut answer = channels::serve(edge, door, request, &target).await;
    let refused = answer.status().is_client_error() || answer.status().is_server_error();
    deliver::label(answer.headers_mut(), &edge.config.node, "detail=live");
    Phase::Done(answer, if refused { Outcome::Refused } else { Outcome::Bypass })
}

/// Tickets of waiting rooms are given here.
async fn wait_in_line(edge: &Arc<Shared>, door: rooms::Door, method: &Method, target: &Target) -> Phase {
    let mut answer = rooms::serve(edge, door, method, target).await;
    let refused = answer.status().is_client_error() || answer.status().is_server_error();
    deliver::label(answer.headers_mut(), &edge.config.node, "detail=room");
    Phase::Done(answer, if refused { Outcome::Refused } else { Outcome::Bypass })
}

/// What a waiting room guards takes an admission.
async fn guard(edge: &Arc<Shared>, request: HttpRequest, target: Target) -> Phase {
    match rooms::pass(edge, request, &target.path).await {
        Ok(request) => normalise(edge, request, target),
        Err(mut answer) => {
            deliver::label(answer.headers_mut(), &edge.config.node, "detail=room");
            Phase::Done(answer, Outcome::Refused)
        }
    }
}

/// What a player says for its own sake.
async fn beacon(edge: &Shared, request: HttpRequest) -> Phase {
    let answer = cmcd::answer(&edge.players, request).await;
    let outcome = if answer.status().is_success() { Outcome::Bypass } else { Outcome::Refused };
    Phase::Done(answer, outcome)
}

/// Whether this client may have it. Its answer is dressed accordingly.
fn authorise(edge: &Shared, mut request: HttpRequest, mut target: Target, dress: &mut Dress) -> Phase {
    if edge.config.tier == Tier::Near
        && target.path.starts_with("/v1/")
        && let Some(answer) = account::refused(edge, &mut request)
    {
        return Phase::Done(answer, Outcome::Refused);
    }
    // A lower tier that has checked says whose it is.
    let told = request.headers().get(SLUICE_OWNER).filter(|_| edge.config.tier == Tier::Shield);
    if let Some(owner) = told.and_then(|owner| owner.to_str().ok()).map(str::to_owned) {
        request.extensions_mut().insert(Owner(owner));
    }
    let above = edge.config.tier == Tier::Shield
        || (gate::is_from_edge(request.headers()) && edge.access.is_peer(&request));
    match edge.access.authorise(&mut request, &mut target, above) {
        Verdict::Passed(with) => {
            *dress = with;
            Phase::Normalise(request, target)
        }
        Verdict::Answered(answer, outcome) => Phase::Done(answer, outcome),
    }
}

/// Counts what a client asks for, if it is media, and says who owns it.
fn place(edge: &Shared, request: &HttpRequest, target: &Target) -> Option<HeaderValue> {
    if edge.config.tier != Tier::Near || gate::is_from_edge(request.headers()) {
        return None;
    }
    let key = MediaPath::parse(&target.path)?.placement();
    edge.count_popular(key);
    HeaderValue::from_str(&edge.placed(key)?).ok()
}

/// One key for all spellings; what a lower tier says of tenant and floors is heeded, what a client says is not.
fn normalise(edge: &Arc<Shared>, request: HttpRequest, target: Target) -> Phase {
    if let Some(door) = Door::of(&target.path).filter(|_| edge.config.tier == Tier::Near) {
        return Phase::Live(door, request, target);
    }
    if let Some(door) = rooms::Door::of(&target.path).filter(|_| edge.config.tier == Tier::Near) {
        return Phase::Room(door, request.method().clone(), target);
    }
    if rooms::concerns(edge, &request) {
        return Phase::Guard(request, target);
    }
    let told = |name: &str| {
        let field = request.headers().get(name).filter(|_| edge.config.tier == Tier::Shield);
        field.and_then(|v| v.to_str().ok())
    };
    // What a sibling has seen is heeded too: it costs a client who says so nothing but its own answer.
    let from_edge = gate::is_from_edge(request.headers());
    let is_client = edge.config.tier == Tier::Near && !from_edge;
    let demanded = request.headers().get(SLUICE_AT_LEAST).filter(|_| is_client).and_then(|v| v.to_str().ok());
    let floors = told(SLUICE_FLOOR).or(demanded).map(parse_versions).unwrap_or_default();
    let heard = is_client.then(|| edge.players.observe(&request, &target)).flatten();
    let seen = request.headers().get(SLUICE_SEEN).filter(|_| from_edge || edge.config.tier == Tier::Shield);
    let seen = seen.and_then(|seen| seen.to_str().ok()?.parse::<u64>().ok());
    let tenant = told(SLUICE_TENANT).and_then(Tenant::told).unwrap_or_else(|| {
        let host = request.headers().get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
        edge.tenants.of(host, request.extensions().get::<Peer>().is_some_and(|peer| peer.secure))
    });
    let websocket = request.extensions().get::<WebSocket>().is_some();
    let live = websocket
        || streams::asks_for_events(request.headers())
        || edge.live().streams.patience(&target.path).is_some();
    let shareable = !live && matches!(*request.method(), Method::GET | Method::HEAD);
    let variant = || edge.images.load().asked(&target.path, target.query.as_deref(), request.headers());
    let image = match shareable.then(variant).flatten().transpose() {
        Ok(image) => image,
        Err(problem) => return Phase::Done(problem_response(problem), Outcome::Refused),
    };
    // A variant is kept beside its image.
    let key = Key::new(&tenant, &if image.is_some() { target.path.clone() } else { target.as_text() });
    let ask = Ask { request, target, tenant, key, floors, tries: 0, missed: false };
    if let Some(next) = heard.filter(|_| shareable) {
        ahead::fetch_ahead(edge, &ask, &next);
    }
    match (image, seen.filter(|seen| floors::is_behind(edge.floors.mark(), *seen))) {
        (Some(asked), _) => Phase::Image(ask, asked),
        (None, _) if websocket => Phase::Tunnel(ask),
        (None, _) if !shareable => Phase::Pass(ask),
        (None, Some(seen)) => Phase::CatchUp(ask, seen),
        (None, None) if edge.is_leaving() && !from_edge => Phase::Leave(ask),
        (None, None) if from_edge => Phase::Lookup(ask),
        (None, None) => shed::given_up(edge, &ask).unwrap_or(Phase::Lookup(ask)),
    }
}

/// The asker has heard of more than this node: what is kept here may be what it must not get again. This node's own feed
/// is a moment behind; when it is longer, an origin is asked for this asker alone.
async fn catch_up(edge: &Shared, ask: Ask, seen: u64) -> Phase {
    let caught = edge.liveness.is_live() && timeout(CATCH_UP, edge.floors.reach(seen)).await.is_ok();
    edge.metrics.catch_ups.with_label_values(&[if caught { "caught-up" } else { "bypassed" }]).inc();
    match edge.config.tier {
        _ if caught => Phase::Lookup(ask),
        Tier::Shield => Phase::Alone(ask),
        // Another near edge asks the tier above instead.
        Tier::Near => {
            let behind = Problem::new(503, "behind", "Not so far in the log").detail("ask the tier above");
            Phase::Done(problem_response(behind), Outcome::Refused)
        }
    }
}

async fn collapse(edge: &Arc<Shared>, mut ask: Ask, wanted: Wanted) -> Phase {
    if edge.cuts.lately(&ask.target.path, Instant::now())
        && is_first_asked(edge, &ask)
        && let Some(elsewhere) = redirected(edge, &ask, "detail=cut")
    {
        return elsewhere;
    }
    ask.tries += 1;
    let (fill, permit) = edge.fills.join(&wanted.key);
    let collapsed = permit.is_none();
    let stale = wanted.stale.clone();
    if let Some(permit) = permit {
        if !std::mem::replace(&mut ask.missed, true) {
            edge.metrics.missed(miss_class(edge, &ask, &wanted));
        }
        fetch::spawn(edge, permit, &ask, wanted.stale, wanted.slice);
    }
    let stands_in = fall_back(edge, &ask, stale.clone(), NoAnswer::Late);
    let patience = match &stands_in {
        Some(object) if fill.is_late() => {
            refresh(edge, &ask, &wanted.key, object);
            Duration::ZERO
        }
        Some(_) => PATIENCE,
        None => FILL_LIMIT,
    };
    let early = ELSEWHERE.min(patience);
    let filled = match timeout(early, fill.outcome()).await {
        Err(_) if !(edge.parents.any_is_suspect() && is_first_asked(edge, &ask)) => {
            timeout(patience - early, fill.outcome()).await
        }
        filled => filled,
    };
    let why = match filled {
        Ok(Filled::Object(object)) => {
            if is_below(edge, &ask, &object) {
                edge.metrics.floor_refusals.inc();
                return if ask.tries < FILL_TRIES { Phase::Lookup(ask) } else { Phase::Alone(ask) };
            }
            let for_all = || edge.searches.is_for_all(&ask.tenant, &ask.target.path, &object);
            let is_for_this = fill.is_of(&ask.target.as_text()) || for_all();
            if !object.is_selected_by(ask.request.headers()) || !is_for_this {
                // It turned out that answers vary, and this is another form.
                return if ask.tries < FILL_TRIES { Phase::Lookup(ask) } else { Phase::Alone(ask) };
            }
            if object.variance.is_some() {
                ask.key = edge.searches.key(&ask.tenant, &ask.target).unwrap_or(ask.key);
            }
            let served = Served::Fetched { why: wanted.why, collapsed, stored: true };
            return Phase::Deliver(ask, object, served);
        }
        // What is not shared is asked for as it was: a HEAD may be answered where a GET is not.
        Ok(Filled::NotShared) => {
            return match fill.take().filter(|_| *ask.request.method() == Method::GET) {
                Some(answer) => not_kept(edge, &ask, answer, wanted.why),
                None => Phase::Alone(ask),
            };
        }
        Ok(Filled::Again) => {
            return if ask.tries < FILL_TRIES { Phase::Lookup(ask) } else { Phase::Alone(ask) };
        }
        Ok(Filled::Failed(why)) => why,
        Err(_) => {
            fill.mark_late();
            NoAnswer::Late
        }
    };
    match (fall_back(edge, &ask, stale, why), fill.take()) {
        (Some(object), _) => Phase::Deliver(ask, object, Served::Stale),
        (None, Some(answer)) => not_kept(edge, &ask, answer, wanted.why),
        (None, None) => Phase::Unserved(ask, why),
    }
}

/// True for a player's media that no other edge was asked for, and that another can be asked for.
fn is_first_asked(edge: &Shared, ask: &Ask) -> bool {
    edge.config.tier == Tier::Near
        && ask.target.tried.is_empty()
        && !gate::is_from_edge(ask.request.headers())
        && redirect::target(&edge.table(), &ask.target, &edge.config.node).is_some()
}

fn not_kept(edge: &Shared, ask: &Ask, answer: HttpResponse, why: &str) -> Phase {
    let mut answer = watched(edge, &ask.target, answer);
    deliver::label(answer.headers_mut(), &edge.config.node, &format!("fwd={why}"));
    Phase::Done(answer, Outcome::Bypass)
}

/// An answer that is passed on as it comes. Media that stands still is cut, since a player waits for it.
fn watched(edge: &Shared, target: &Target, answer: HttpResponse) -> HttpResponse {
    let media = MediaPath::parse(&target.path).is_some();
    let limit = match answer.headers() {
        // Nothing may happen for long.
        fields if streams::is_events(fields) => Duration::from_millis(edge.live().streams.idle_ms),
        _ if media => Duration::from_millis(edge.live().watchdog_ms),
        _ => watchdog::QUIET,
    };
    answer.map(|body| watchdog::watched(body, limit))
}

/// Asks for news of a stale copy in the background, also when what was asked before is late.
fn refresh(edge: &Arc<Shared>, ask: &Ask, key: &Key, stale: &Arc<Object>) {
    let (fill, permit) = edge.fills.join(key);
    if let Some(permit) = permit.or_else(|| edge.fills.follow(key, &fill)) {
        fetch::spawn(edge, permit, ask, Some(Arc::clone(stale)), None);
    }
}

/// True when an object is older than what this edge or the asker has heard of.
fn is_below(edge: &Shared, ask: &Ask, object: &Object) -> bool {
    verdict(edge, ask, object) != floors::Verdict::Above
}

/// How an object stands to what this edge or the asker has heard of.
fn verdict(edge: &Shared, ask: &Ask, object: &Object) -> floors::Verdict {
    edge.floors.stand(object, &ask.floors, || marks::all(&ask.tenant, &ask.target.as_text()))
}

/// Each miss has exactly one class.
fn miss_class(edge: &Shared, ask: &Ask, wanted: &Wanted) -> Miss {
    match (&wanted.stale, wanted.gone) {
        (Some(stale), _) if is_below(edge, ask, stale) => Miss::Purged,
        (Some(_), _) => Miss::Expired,
        (None, Some(Gone::Purged)) => Miss::Purged,
        (None, Some(Gone::Evicted)) => Miss::Evicted,
        (None, None) if !ask.target.tried.is_empty() => Miss::Health,
        (None, None) if edge.has_moved_here(&ask.target) => Miss::RingMoved,
        (None, None) => Miss::FirstEver,
    }
}

/// No parent answered as it should: what is kept may do, if it says so and no floor forbids it.
fn fall_back(edge: &Shared, ask: &Ask, stale: Option<Arc<Object>>, why: NoAnswer) -> Option<Arc<Object>> {
    stale.filter(|object| match lookup::standing(edge, ask, object) {
        Some(Standing::Fresh(_) | Standing::WhileRevalidating) => true,
        Some(Standing::Stale { if_error, .. }) if why == NoAnswer::Erred => if_error,
        Some(Standing::Stale { if_disconnected, .. }) => if_disconnected,
        None => false,
    })
}

/// As it was asked, for this asker alone: nobody waits for it, and it waits for nobody. What may be shared after all is
/// kept.
async fn alone(edge: &Arc<Shared>, ask: Ask) -> Phase {
    let permit = Permit::alone();
    let fill = Arc::clone(&permit.fill);
    fetch::spawn_alone(edge, permit, &ask);
    match timeout(FILL_LIMIT, fill.outcome()).await {
        Ok(Filled::Object(object)) if is_client_ahead(edge, &ask, &object) => {
            let detail = "no origin has the version that Sluice-At-Least names";
            let problem = Problem::new(412, "version-unknown", "Version unknown").detail(detail);
            Phase::Done(problem_response(problem), Outcome::Refused)
        }
        Ok(Filled::Object(object)) => {
            let served = Served::Fetched { why: BYPASS, collapsed: false, stored: true };
            Phase::Deliver(ask, object, served)
        }
        Ok(outcome) => match (fill.take(), outcome) {
            (Some(answer), _) => not_kept(edge, &ask, answer, BYPASS),
            (None, Filled::Failed(why)) => Phase::Unserved(ask, why),
            (None, _) => Phase::Unserved(ask, NoAnswer::Unreachable),
        },
        Err(_) => Phase::Unserved(ask, NoAnswer::Late),
    }
}

/// True when a client demands more than an origin has just answered.
fn is_client_ahead(edge: &Shared, ask: &Ask, object: &Object) -> bool {
    edge.config.tier == Tier::Near && floors::is_below(object, &ask.floors)
}

async fn answer_from(edge: &Arc<Shared>, ask: Ask, object: Arc<Object>, served: Served) -> Phase {
    if let Some(asset) = shed::has_less(edge, &ask, &object)
        && let Some(answer) = shed::capped(edge, &asset, &object).await
    {
        return Phase::Done(answer, Outcome::Hit);
    }
    let Ask { request, key, target, .. } = ask;
    let (asked, _) = request.into_parts();
    let form = transform::select(edge, (&asked.method, &asked.headers), &key, &object).await;
    let answer = deliver::answer(&edge.config.node, &asked.method, &asked.headers, &object, form, served);
    let announced = || answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let bytes = http_body::Body::size_hint(answer.body()).exact().or_else(announced);
    edge.metrics.bytes_out.inc_by(bytes.unwrap_or(0));
    if asked.method == Method::GET && answer.status().is_success() && !gate::is_from_edge(&asked.headers) {
        edge.served(&object, &target.path, bytes.unwrap_or(0));
    }
    let outcome = match served {
        Served::Hit(_) => Outcome::Hit,
        Served::Stale => Outcome::Stale,
        Served::Fetched { collapsed: true, .. } => Outcome::Collapsed,
        Served::Fetched { why: BYPASS, .. } => Outcome::Bypass,
        Served::Fetched { collapsed: false, .. } => Outcome::Miss,
    };
    Phase::Done(answer, outcome)
}

/// A drained edge sends media on, though it has it: whoever plays is elsewhere with the next segment. What nobody else can
/// serve it serves.
fn leave(edge: &Shared, ask: Ask) -> Phase {
    redirected(edge, &ask, "detail=drained").unwrap_or(Phase::Lookup(ask))
}

/// To the next edge in a media object's own order, if there is one.
fn redirected(edge: &Shared, ask: &Ask, status: &str) -> Option<Phase> {
    let location = redirect::target(&edge.table(), &ask.target, &edge.config.node)?;
    // The next edge asks for a credential too, wherever this one found it.
    let carried = ask.request.extensions().get::<Carried>();
    let location = carried.map_or_else(|| location.clone(), |Carried(query)| format!("{location}&{query}"));
    let mut answer = redirect::answer(&location)?;
    deliver::label(answer.headers_mut(), &edge.config.node, status);
    Some(Phase::Done(answer, Outcome::Redirect))
}

/// What cannot be served here: the next edge may have it; else media is cut, and anything else gets a plain word.
fn unserved(edge: &Shared, ask: &Ask, why: NoAnswer) -> Phase {
    // Another edge is told plainly, and asks elsewhere.
    let media = matches!(*ask.request.method(), Method::GET | Method::HEAD)
        && edge.config.tier == Tier::Near
        && !gate::is_from_edge(ask.request.headers());
    if let Some(sent) = media.then(|| redirected(edge, ask, "fwd=miss; detail=redirected")).flatten() {
        return sent;
    }
    if media && MediaPath::parse(&ask.target.path).is_some() {
        let mut answer = redirect::cut();
        deliver::label(answer.headers_mut(), &edge.config.node, "fwd=miss; detail=cut");
        return Phase::Done(answer, Outcome::Cut);
    }
    let nobody = "neither the tier above nor another edge can serve this now";
    let problem = match why {
        NoAnswer::Unconnected | NoAnswer::Unreachable | NoAnswer::Erred => {
            Problem::new(502, "no-parent", "No parent answers").detail(nobody)
        }
        NoAnswer::Late => Problem::new(504, "late-parent", "The parent takes too long").detail(nobody),
        NoAnswer::Cut => {
            Problem::new(400, "cut", "Request cut").detail("the body ended before its declared length")
        }
    };
    let mut answer = problem_response(problem);
    deliver::label(answer.headers_mut(), &edge.config.node, "fwd=miss; detail=no-parent");
    Phase::Done(answer, Outcome::Error)
}
