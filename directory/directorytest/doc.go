// Package directorytest proves that a place where users live keeps the contract of package directory.
//
// Run is the conformance suite. It is the same for every adapter, those of this module included, and knows nothing of any backend:
// it skips a rule only when the directory lacks the capability, or the fixture the account, that the rule is about.
// Memory is a directory held in memory, for tests and examples. The package is for tests only and owns no rule of its own:
// whatever it demands follows from a sentence in package directory.
//
// # Writing an adapter
//
// A directory is a type with two methods, Find and Get. What more it can do, it says by having the method: VerifyPassword, SetPassword,
// ChangePassword, Unlock, EndSessions, PasswordPolicy, Users, Check. Nothing has to be registered, and nothing has to be stubbed out:
// pages and policy follow from the methods that are there. The example of this package is a whole adapter for a service that speaks JSON,
// in less than a hundred lines, with the suite run against it.
//
// What is easily got wrong:
//
//   - User.ID is what the backend never reuses: a GUID, a row's key, a subject. Never a login, a DN or an e-mail address.
//     A user read a minute ago may be gone, renamed, or replaced by a namesake: look her up by ID before a password is checked or set,
//     and decide by the state found then, not by the one in the User handed in.
//   - Find takes what a stranger typed. Bind it as a parameter or escape it; what cannot be a name (a NUL, broken UTF-8, a megabyte)
//     is ErrNotFound, never an outage. Names match whatever the case of their ASCII letters.
//     Two matches are ErrAmbiguous, never the first of them.
//   - A miss costs what a hit costs: Find runs the same queries, and VerifyPassword burns a hash or a bind for the zero User.
//   - An empty password is Wrong before the backend is asked: LDAP takes it for an anonymous bind and says yes.
//     An empty new password is refused before the backend is asked: some make one up.
//   - An outage is ErrUnavailable, wrapped or bare. It is never Wrong, which would be counted against the user, and never ErrNotFound.
//   - A password write without an answer is ErrOutcomeUnknown. Do not try it again.
//   - Unlock opens TempLocked only. No password write may undo AdminLocked or Disabled, even where the backend would do it by itself.
//   - Return when ctx ends, with its error or ErrUnavailable. A limit of a few seconds of your own is good manners.
//
// # Running the suite
//
//	func TestTheAdapterKeepsTheContract(t *testing.T) {
//		directorytest.Run(t, func(t *testing.T) directorytest.Fixture {
//			server := startAndFill(t)
//			return directorytest.Fixture{
//				Directory: adapter.New(server.URL),
//				Ada:       directorytest.Person{Login: "ada", Password: "Correct-Horse-7", Aliases: []string{"ada@example.com"}},
//				Bob:       directorytest.Person{Login: "bob", Password: "Battery-Staple-8"},
//				Break:     server.Close,
//			}
//		})
//	}
//
// The more accounts and hooks the fixture has, the more rules apply. A rule that is skipped says why in the test's log.
package directorytest
