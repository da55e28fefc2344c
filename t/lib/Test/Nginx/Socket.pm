package Test::Nginx::Socket;

=head1 NAME

Test::Nginx::Socket - a small runner for tests in the block format

=head1 SYNOPSIS

    use Test::Nginx::Socket 'no_plan';

    run_tests();

    __DATA__

    === TEST 1: a handler's answer
    --- main_config
    load_module ...;
    --- config
        location /t { return 200 "ok"; }
    --- request
    GET /t
    --- response_body chomp
    ok
    --- no_error_log
    [error]

Ours, for the format of Test::Nginx (on CPAN and by OpenResty, not in
Debian), as far as NginxAsync::Sections lists it.  With the real one
installed and t/lib left out of @INC the same files run under that.

Beyond the sections, every block fails on an [alert], an [emerg], a crash or
a sanitizer's report (see NginxAsync::Verdict).  Workers run below a master,
so that the end of each server is a graceful one; TEST_NGINX_MASTER_PROCESS=off
or master_off() gives the single process that the real runner has.

=head1 FUNCTIONS

With an argument they set, without one they tell: repeat_each, workers,
worker_connections, log_level, timeout, server_name, server_addr, server_port,
master_process_enabled.  Switches: no_shuffle, no_long_string, no_root_location,
use_hup, master_on, master_off, check_accum_error_log.  Others: env_to_nginx,
config_preamble, add_block_preprocessor, add_test_cleanup_handler,
add_cleanup_handler, add_response_body_check, server_root, html_dir, bail_out,
is_str.

=cut

use strict;
use warnings;

use Test::Base -base;
use Test::More ();

use NginxAsync::Runner;
use NginxAsync::Settings;
use NginxAsync::Stage;

our @EXPORT = qw(
    run_tests run_test plan repeat_each workers worker_connections log_level
    timeout server_name server_addr server_port server_port_for_client
    server_root html_dir master_on master_off master_process_enabled
    no_shuffle no_long_string no_root_location use_hup check_accum_error_log
    no_nginx_manager env_to_nginx config_preamble bail_out is_str
    add_block_preprocessor add_test_cleanup_handler add_cleanup_handler
    add_response_body_check
);

my $set = \%NginxAsync::Settings::Set;

sub run_tests ()  { return NginxAsync::Runner::run_tests() }
sub run_test ($)  { return NginxAsync::Runner::run_block($_[0]) }


sub setting {
    my ($name, @value) = @_;

    $set->{$name} = $value[0] if @value;

    return $set->{$name};
}


sub repeat_each (@)        { return setting('repeat_each', @_) }
sub workers (@)            { return setting('workers', @_) }
sub worker_connections (@) { return setting('connections', @_) }
sub log_level (@)          { return setting('log_level', @_) }
sub timeout (@)            { return setting('timeout', @_) }
sub server_name (@)        { return setting('server_name', @_) }
sub server_addr (@)        { return setting('server_addr', @_) }
sub config_preamble ($)    { return setting('preamble', @_) }

sub no_shuffle ()            { $set->{no_shuffle}    = 1 }
sub no_root_location ()      { $set->{location_root} = 0 }
sub use_hup ()               { $set->{use_hup}       = 1 }
sub check_accum_error_log () { $set->{accumulate}    = 1 }
sub master_on ()             { $set->{master}        = 'on' }
sub master_off ()            { $set->{master}        = 'off' }

# differences are shown in full anyway
sub no_long_string () { return }


sub master_process_enabled (@) {
    $set->{master} = $_[0] ? 'on' : 'off' if @_;

    return $set->{master};
}


sub no_nginx_manager () {
    die "no_nginx_manager is not supported by this runner\n";
}


sub server_port (@)            { return NginxAsync::Stage::port(@_) }
sub server_port_for_client (@) { return NginxAsync::Stage::port(@_) }
sub server_root ()             { return NginxAsync::Stage::root() }
sub html_dir ()                { return NginxAsync::Stage::root() . '/html' }


sub env_to_nginx (@) {
    for my $variable (@_) {
        die "env_to_nginx: bad argument: $variable\n"
            if $variable !~ /^[A-Za-z_][^\n]*\z/;
        push @{ $set->{env_names} }, $variable;
    }
}


# The handler added last runs first, as in Test::Nginx.
sub add_block_preprocessor (&)   { unshift @{ $set->{preprocessors} }, shift }
sub add_test_cleanup_handler ($) { unshift @{ $set->{after_test} }, shift }
sub add_cleanup_handler ($)      { unshift @{ $set->{at_end} }, shift }
sub add_response_body_check ($)  { push @{ $set->{body_checks} }, shift }


sub is_str (@) {
    my ($got, $expected, $title) = @_;

    return ref $expected eq 'Regexp'
        ? Test::More::like($got, $expected, $title)
        : Test::Base::is($got, $expected, $title);
}


sub bail_out (@) {
    NginxAsync::Stage::finish();
    Test::More::BAIL_OUT(@_);
}

1;
