package NginxAsync::Settings;

=head1 NAME

NginxAsync::Settings - what a block-format file sets for all of its blocks

=cut

use strict;
use warnings;

# What the functions of Test::Nginx::Socket set.
our %Set = (
    repeat_each   => 1,
    workers       => 1,
    connections   => 64,
    log_level     => $ENV{TEST_NGINX_LOG_LEVEL}      || 'debug',
    master        => $ENV{TEST_NGINX_MASTER_PROCESS} || 'on',
    timeout       => $ENV{TEST_NGINX_TIMEOUT}        || 10,
    no_shuffle    => $ENV{TEST_NGINX_NO_SHUFFLE},
    use_hup       => $ENV{TEST_NGINX_USE_HUP},
    accumulate    => $ENV{TEST_NGINX_CHECK_ACCUM_ERR_LOG},
    location_root => 1,
    server_name   => 'localhost',
    server_addr   => '127.0.0.1',
    preamble      => '',
    env_names     => [],
    preprocessors => [],
    after_test    => [],
    at_end        => [],
    body_checks   => [],
);

1;
