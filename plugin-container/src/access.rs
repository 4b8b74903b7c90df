//! Who may pull from and push to what is served.
//!
//! [`Rights`] are a repository's options, [`Caller`] is who sent a request; [`decide`] compares them.
//! Nothing is looked up here: users and passwords are the framework's ([`pulp_stages::serve::users`]),
//! tokens come from [`token`], and `routes` asks before it answers anything.

pub mod token;

use crate::{options::ContainerRepositoryOptions, reference::RepositoryName};
use token::Grants;

/// What a request does to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reads it.
    Pull,
    /// Changes it, deleting included.
    Push,
}

/// Who may do what with a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    push: bool,
    anonymous_push: bool,
    push_users: Vec<String>,
    private: bool,
    pull_users: Vec<String>,
}

/// Who sent a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user; `None` is anybody.
    pub user: Option<String>,
    /// What the token that was shown is good for; `None` if none was shown: a password is good for
    /// everything that its user may do.
    pub grants: Option<Grants>,
}

/// What comes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may go on.
    Allowed,
    /// The caller has the right, but showed a token that was made for something else.
    OtherToken,
    /// Somebody may do that: the caller is to say who it is.
    LogIn,
    /// The caller may see the repository, but not do that.
    Denied,
    /// As if there were no such repository.
    Hidden,
}

impl Rights {
    /// Those that a repository's options give.
    pub fn of(options: &ContainerRepositoryOptions) -> Self {
        Self {
            push: options.push || options.anonymous_push,
            anonymous_push: options.anonymous_push,
            push_users: options.push_users.clone(),
            private: options.private || !options.pull_users.is_empty(),
            pull_users: options.pull_users.clone(),
        }
    }

    /// The same without the right to push.
    #[must_use]
    pub fn without_push(self) -> Self {
        Self { push: false, anonymous_push: false, ..self }
    }

    /// Whether `user` may do that.
    pub fn allow(&self, user: Option<&str>, action: Action) -> bool {
        match (action, user) {
            (Action::Pull, _) if !self.private => true,
            (Action::Pull, Some(user)) => {
                let (pull, push) = (&self.pull_users, &self.push_users);
                pull.is_empty() && push.is_empty() || named(pull, user) || named(push, user)
            }
            (Action::Push, _) if self.anonymous_push => true,
            (Action::Push, Some(user)) => {
                self.push && (self.push_users.is_empty() || named(&self.push_users, user))
            }
            (_, None) => false,
        }
    }

    /// Whether anybody may push to it at all.
    pub fn is_pushed_to(&self) -> bool {
        self.push
    }

    /// Whether nobody has to say who they are for that.
    pub fn is_open(&self, action: Action) -> bool {
        self.allow(None, action)
    }
}

impl Caller {
    /// Whether the catalog may show the caller a repository with these rights.
    pub fn may_list(&self, rights: &Rights) -> bool {
        let is_granted = self.grants.as_ref().is_none_or(Grants::hold_catalog);
        rights.is_open(Action::Pull)
            || is_granted && rights.allow(self.user.as_deref(), Action::Pull)
    }
}

fn named(users: &[String], user: &str) -> bool {
    users.iter().any(|known| known == user)
}

/// Whether `caller` may do `action` with repository `name`, whose rights are `rights` if there is such
/// a repository. `can_log_in` tells whether the server knows users at all.
///
/// To somebody who may not pull from it, a repository looks as if it were not there.
pub fn decide(
    caller: &Caller,
    name: &RepositoryName,
    rights: Option<&Rights>,
    action: Action,
    can_log_in: bool,
) -> Decision {
    let user = caller.user.as_deref();
    if let Some(rights) = rights.filter(|rights| rights.allow(user, action)) {
        let is_granted = caller.grants.as_ref().is_none_or(|grants| grants.hold(name, action));
        let is_free = rights.is_open(action) || is_granted;
        return if is_free { Decision::Allowed } else { Decision::OtherToken };
    }
    let is_visible = rights.is_some_and(|rights| rights.allow(user, Action::Pull));
    let takes_pushes = rights.is_some_and(Rights::is_pushed_to);
    match (user, can_log_in) {
        (None, true) if !is_visible || takes_pushes => Decision::LogIn,
        _ if is_visible => Decision::Denied,
        _ => Decision::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> RepositoryName {
        "team/app".parse().expect("valid")
    }

    fn caller(user: &str) -> Caller {
        Caller { user: (!user.is_empty()).then(|| user.to_owned()), grants: None }
    }

    fn options(of: impl FnOnce(&mut ContainerRepositoryOptions)) -> Rights {
        let mut options = ContainerRepositoryOptions::default();
        of(&mut options);
        Rights::of(&options)
    }

    #[track_caller]
    fn check(rights: &Rights, user: &str, pull: Decision, push: Decision) {
        for (action, expected) in [(Action::Pull, pull), (Action::Push, push)] {
            let decided = decide(&caller(user), &name(), Some(rights), action, true);
            assert_eq!(decided, expected, "{action:?} by {user:?}");
        }
    }

    #[test]
    fn rights_are_what_the_options_say() {
        use Decision::{Allowed, Denied, Hidden, LogIn};
        let mirror = options(|_| {});
        check(&mirror, "", Allowed, Denied);
        check(&mirror, "alice", Allowed, Denied);
        let push = options(|o| o.push = true);
        check(&push, "", Allowed, LogIn);
        check(&push, "alice", Allowed, Allowed);
        let of_alice = options(|o| (o.push, o.push_users) = (true, vec!["alice".into()]));
        check(&of_alice, "", Allowed, LogIn);
        check(&of_alice, "alice", Allowed, Allowed);
        check(&of_alice, "bob", Allowed, Denied);
        let open = options(|o| o.anonymous_push = true);
        check(&open, "", Allowed, Allowed);
        check(&open, "alice", Allowed, Allowed);
        let private = options(|o| o.private = true);
        check(&private, "", LogIn, LogIn);
        check(&private, "alice", Allowed, Denied);
        let of_bob = options(|o| o.pull_users = vec!["bob".into()]);
        check(&of_bob, "", LogIn, LogIn);
        check(&of_bob, "alice", Hidden, Hidden);
        check(&of_bob, "bob", Allowed, Denied);
        let both = options(|o| {
            (o.private, o.push, o.push_users) = (true, true, vec!["alice".into()]);
        });
        check(&both, "alice", Allowed, Allowed);
        check(&both, "bob", Hidden, Hidden);
    }

    #[test]
    fn a_hidden_repository_is_answered_like_one_that_is_not_there() {
        let hidden = options(|o| o.pull_users = vec!["bob".into()]);
        for who in [caller(""), caller("alice")] {
            for can_log_in in [true, false] {
                for action in [Action::Pull, Action::Push] {
                    let there = decide(&who, &name(), Some(&hidden), action, can_log_in);
                    let not_there = decide(&who, &name(), None, action, can_log_in);
                    assert_eq!(there, not_there, "{who:?} {action:?} {can_log_in}");
                }
            }
        }
    }

    #[test]
    fn a_token_is_good_for_what_it_was_made_for() {
        let rights = options(|o| (o.private, o.push) = (true, true));
        let with = |grants| Caller { grants: Some(grants), ..caller("alice") };
        let decide = |caller: &Caller, action| decide(caller, &name(), Some(&rights), action, true);
        let none = with(Grants::default());
        assert_eq!(decide(&none, Action::Pull), Decision::OtherToken);
        let pull = with(Grants::default().with(name(), Action::Pull));
        assert_eq!(decide(&pull, Action::Pull), Decision::Allowed);
        assert_eq!(decide(&pull, Action::Push), Decision::OtherToken);
        let push = with(Grants::default().with(name(), Action::Push));
        assert_eq!(decide(&push, Action::Pull), Decision::Allowed);
        assert_eq!(decide(&push, Action::Push), Decision::Allowed);
    }
}
