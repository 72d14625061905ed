//! Descriptions of a command's flags, made only when that command is meant: to describe every flag of every command takes
//! longer than most commands do.

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// Arguments that the parser learns about when it meets their command. Only for use below a subcommand.
#[derive(Debug)]
pub(crate) struct Later<Arguments>(pub(crate) Arguments);

impl<Arguments: Args> Args for Later<Arguments> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| described_alike(command, Arguments::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| described_alike(command, Arguments::augment_args_for_update))
    }
}

impl<Arguments: FromArgMatches> FromArgMatches for Later<Arguments> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Arguments::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        Arguments::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }

    fn update_from_arg_matches_mut(&mut self, matches: &mut ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches_mut(matches)
    }
}

/// Groups of flags would put their own words in place of the command's.
fn described_alike(command: Command, augment: fn(Command) -> Command) -> Command {
    let (short, long) = (command.get_about().cloned(), command.get_long_about().cloned());
    augment(command).about(Resettable::from(short)).long_about(Resettable::from(long))
}
