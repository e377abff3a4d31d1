//! The walls by name: which must stand, and what to do about one that does not.

use serde::{Deserialize, Serialize};

/// One thing that keeps the codec in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wall {
    /// Memory, processor time, threads, open files; no written byte but into its pipes.
    Limits,
    /// Nothing that it starts may gain a privilege.
    NoNewPrivileges,
    /// An unprivileged user of its own. Only root can give it one; another user's worker keeps its user.
    User,
    /// The kernel's files are the program and its libraries.
    Landlock,
    /// The kernel's calls are those of a program that reads, computes and writes.
    Seccomp,
    /// An empty network, its own System V memory; for another user than root a user namespace, which these need.
    Namespaces,
}

impl Wall {
    /// All of them, in the order in which they go up.
    pub const ALL: [Self; 6] =
        [Self::Namespaces, Self::User, Self::Limits, Self::NoNewPrivileges, Self::Landlock, Self::Seccomp];

    /// The name in metrics and in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::NoNewPrivileges => "no_new_privileges",
            Self::User => "user",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Namespaces => "namespaces",
        }
    }

    /// What the machine lacks where this wall cannot be put up.
    #[must_use]
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Limits => "resource limits that may be lowered (setrlimit)",
            Self::NoNewPrivileges => "Linux 3.5 or later (prctl PR_SET_NO_NEW_PRIVS)",
            Self::User => {
                "the right to become the user of the key sandbox_user (CAP_SETUID, CAP_SETGID), and that id"
            }
            Self::Landlock => {
                "Linux 5.13 or later with landlock among the security modules (lsm=landlock,...)"
            }
            Self::Seccomp => "a kernel with seccomp filters (CONFIG_SECCOMP_FILTER), x86-64 or arm64",
            Self::Namespaces => {
                "user namespaces for users (sysctl user.max_user_namespaces), or CAP_SYS_ADMIN"
            }
        }
    }

    /// True when the codec is not started without it.
    ///
    /// Namespaces are off on many machines, in containers above all. What they close, seccomp has closed before: no
    /// socket can be made. They stand behind it where they can be had.
    #[must_use]
    pub const fn is_required(self, mode: Mode) -> bool {
        match mode {
            Mode::Required => !matches!(self, Self::Namespaces),
            Mode::BestEffort => false,
        }
    }
}

/// What to do where a wall cannot be put up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Refuse to start. A wall that is not [required](Wall::is_required) is a line in the log.
    #[default]
    Required,
    /// Go on with those that stand: for developers' machines.
    BestEffort,
}
