#!/usr/bin/perl
# A command for the exec plugin: one operation a run, JSON on standard input and output. All that it does is to hand both on to
# the accounts in tests/support/account_service.py; in Perl, which starts three times as fast as Python. docs/how-to/exec.md.
use strict;
use warnings;
use Socket;

my $request = do { local $/; <STDIN> };
my ($path) = $request =~ /"accounts":"([^"]+)"/ or fail("invalid", "settings.accounts is missing");
my $backend;
socket($backend, PF_UNIX, SOCK_STREAM, 0) and connect($backend, pack_sockaddr_un($path))
	or fail("unavailable", "the account service does not answer");
syswrite($backend, $request) and shutdown($backend, 1);
my $answer = do { local $/; <$backend> } // fail("unavailable", "the account service hung up");
print $answer;
exit($answer =~ /^\{"error"/ ? 1 : 0);

sub fail {
	my ($code, $text) = @_;
	print qq({"error":{"code":"$code","text":"$text"}});
	exit 1;
}
