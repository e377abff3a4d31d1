//! Why a request is not let in.

/// The reason, which is also a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No credential where one is needed.
    Missing,
    /// More than one credential: which of them counts would be a guess.
    Several,
    /// A credential of a kind that the rule does not take.
    Kind,
    /// Not a credential at all: encoding, length or structure.
    Malformed,
    /// An algorithm other than EdDSA.
    Algorithm,
    /// A field in the header that would choose a key or change the meaning, or a critical one that is not known.
    Header,
    /// A key that is not known here.
    Key,
    /// A signature that does not verify.
    Signature,
    /// A claim that limits and is not known here: ignoring it would allow more than was granted.
    Claim,
    /// No end, or an end that has passed.
    Expired,
    /// Not valid yet.
    Early,
    /// Another issuer.
    Issuer,
    /// Meant for somebody else.
    Audience,
    /// Another tenant.
    Tenant,
    /// Another path.
    Path,
    /// Another method.
    Method,
    /// From a country where it is not allowed, or from an unknown place.
    Country,
    /// Another client's address.
    Client,
    /// Too many requests.
    Rate,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 19] = [
        Self::Missing,
        Self::Several,
        Self::Kind,
        Self::Malformed,
        Self::Algorithm,
        Self::Header,
        Self::Key,
        Self::Signature,
        Self::Claim,
        Self::Expired,
        Self::Early,
        Self::Issuer,
        Self::Audience,
        Self::Tenant,
        Self::Path,
        Self::Method,
        Self::Country,
        Self::Client,
        Self::Rate,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Kind => "kind",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Header => "header",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Claim => "claim",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Tenant => "tenant",
            Self::Path => "path",
            Self::Method => "method",
            Self::Country => "country",
            Self::Client => "client",
            Self::Rate => "rate",
        }
    }

    /// The HTTP status: 401 where another credential may do, 403 where a good one does not allow this (RFC 6750 section
    /// 3.1), 400 for a request that contradicts itself, 429 for too many (RFC 6585).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Several => 400,
            Self::Audience | Self::Tenant | Self::Path | Self::Method | Self::Country | Self::Client => 403,
            Self::Rate => 429,
            _ => 401,
        }
    }

    /// The error code of RFC 6750 section 3.1; none where no credential was given, or it is not about one.
    #[must_use]
    pub const fn error(self) -> Option<&'static str> {
        match self.status() {
            400 => Some("invalid_request"),
            403 => Some("insufficient_scope"),
            401 if !matches!(self, Self::Missing) => Some("invalid_token"),
            _ => None,
        }
    }

    /// What it is in words, without telling a forger how near he came.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Missing => "this needs a token or a signed URL",
            Self::Several => "give one credential, in one place",
            Self::Kind => "this needs another kind of credential",
            Self::Expired => "the credential has expired",
            Self::Early => "the credential is not valid yet",
            Self::Audience | Self::Issuer | Self::Tenant => {
                "the credential is for somebody or something else"
            }
            Self::Path => "the credential does not cover this path",
            Self::Method => "the credential does not cover this method",
            Self::Country => "this is not offered where you are",
            Self::Client => "the credential is bound to another client",
            Self::Rate => "too many requests from here",
            _ => "the credential is not valid",
        }
    }
}
