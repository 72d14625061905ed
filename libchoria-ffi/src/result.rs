//! The numbered results. A number is never changed and never used again for something else.

/// How a call went. Numbers never change and are never used again; new ones may come, so treat those you do not know as
/// failures.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum choria_result {
    /// It went well.
    CHORIA_OK = 0,
    /// Nothing more will come.
    CHORIA_END = 1,
    /// Nothing came in the time given; ask again.
    CHORIA_TIMEOUT = 2,
    /// It was cancelled, or its client was freed.
    CHORIA_CANCELLED = 3,
    /// An argument is NULL, not UTF-8, or out of its range.
    CHORIA_INVALID_ARGUMENT = 10,
    /// A configuration file cannot be used.
    CHORIA_INVALID_CONFIGURATION = 11,
    /// There is no such file, agent, action or stream.
    CHORIA_NOT_FOUND = 12,
    /// The system could not read or write.
    CHORIA_IO = 13,
    /// A draft breaks a rule of submission.
    CHORIA_INVALID_MESSAGE = 20,
    /// This user may not do that.
    CHORIA_REFUSED = 21,
    /// The spool is full.
    CHORIA_SPOOL_FULL = 22,
    /// The message is larger than allowed.
    CHORIA_TOO_LARGE = 23,
    /// Neither the socket nor the spool can be used.
    CHORIA_UNAVAILABLE = 24,
    /// Not a token of the kinds known, or malformed claims.
    CHORIA_TOKEN_INVALID = 30,
    /// No trusted issuer signed the token, or its chain of trust does not hold.
    CHORIA_TOKEN_UNTRUSTED = 31,
    /// The token has expired, or is not valid yet.
    CHORIA_TOKEN_EXPIRED = 32,
    /// The signature is wrong or missing.
    CHORIA_SIGNATURE_INVALID = 33,
    /// Older than the caller accepts, or from the future.
    CHORIA_STALE = 34,
    /// No broker is connected.
    CHORIA_NOT_CONNECTED = 40,
    /// The broker, or the AAA service, refused the login or the request.
    CHORIA_UNAUTHORIZED = 41,
    /// The inputs do not satisfy the DDL.
    CHORIA_INVALID_REQUEST = 42,
    /// The handle was made before fork() and uses the network: make a new one.
    CHORIA_FORKED = 90,
    /// A fault of the library, which the message tells; please report it.
    CHORIA_INTERNAL = 99,
}

/// A result as it comes in: any number, so it is not the enumeration here. The header calls both `choria_result`.
pub(crate) type choria_result_number = u32;

impl choria_result {
    /// Every result.
    pub(crate) const ALL: [Self; 23] = [
        Self::CHORIA_OK,
        Self::CHORIA_END,
        Self::CHORIA_TIMEOUT,
        Self::CHORIA_CANCELLED,
        Self::CHORIA_INVALID_ARGUMENT,
        Self::CHORIA_INVALID_CONFIGURATION,
        Self::CHORIA_NOT_FOUND,
        Self::CHORIA_IO,
        Self::CHORIA_INVALID_MESSAGE,
        Self::CHORIA_REFUSED,
        Self::CHORIA_SPOOL_FULL,
        Self::CHORIA_TOO_LARGE,
        Self::CHORIA_UNAVAILABLE,
        Self::CHORIA_TOKEN_INVALID,
        Self::CHORIA_TOKEN_UNTRUSTED,
        Self::CHORIA_TOKEN_EXPIRED,
        Self::CHORIA_SIGNATURE_INVALID,
        Self::CHORIA_STALE,
        Self::CHORIA_NOT_CONNECTED,
        Self::CHORIA_UNAUTHORIZED,
        Self::CHORIA_INVALID_REQUEST,
        Self::CHORIA_FORKED,
        Self::CHORIA_INTERNAL,
    ];

    /// The name in C.
    pub(crate) fn name(self) -> &'static std::ffi::CStr {
        match self {
            Self::CHORIA_OK => c"CHORIA_OK",
            Self::CHORIA_END => c"CHORIA_END",
            Self::CHORIA_TIMEOUT => c"CHORIA_TIMEOUT",
            Self::CHORIA_CANCELLED => c"CHORIA_CANCELLED",
            Self::CHORIA_INVALID_ARGUMENT => c"CHORIA_INVALID_ARGUMENT",
            Self::CHORIA_INVALID_CONFIGURATION => c"CHORIA_INVALID_CONFIGURATION",
            Self::CHORIA_NOT_FOUND => c"CHORIA_NOT_FOUND",
            Self::CHORIA_IO => c"CHORIA_IO",
            Self::CHORIA_INVALID_MESSAGE => c"CHORIA_INVALID_MESSAGE",
            Self::CHORIA_REFUSED => c"CHORIA_REFUSED",
            Self::CHORIA_SPOOL_FULL => c"CHORIA_SPOOL_FULL",
            Self::CHORIA_TOO_LARGE => c"CHORIA_TOO_LARGE",
            Self::CHORIA_UNAVAILABLE => c"CHORIA_UNAVAILABLE",
            Self::CHORIA_TOKEN_INVALID => c"CHORIA_TOKEN_INVALID",
            Self::CHORIA_TOKEN_UNTRUSTED => c"CHORIA_TOKEN_UNTRUSTED",
            Self::CHORIA_TOKEN_EXPIRED => c"CHORIA_TOKEN_EXPIRED",
            Self::CHORIA_SIGNATURE_INVALID => c"CHORIA_SIGNATURE_INVALID",
            Self::CHORIA_STALE => c"CHORIA_STALE",
            Self::CHORIA_NOT_CONNECTED => c"CHORIA_NOT_CONNECTED",
            Self::CHORIA_UNAUTHORIZED => c"CHORIA_UNAUTHORIZED",
            Self::CHORIA_INVALID_REQUEST => c"CHORIA_INVALID_REQUEST",
            Self::CHORIA_FORKED => c"CHORIA_FORKED",
            Self::CHORIA_INTERNAL => c"CHORIA_INTERNAL",
        }
    }
}
