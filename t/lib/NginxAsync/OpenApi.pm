package NginxAsync::OpenApi;

=head1 NAME

NginxAsync::OpenApi - is it a valid OpenAPI document?

=head1 SYNOPSIS

    my $why = NginxAsync::OpenApi::missing();       # undef: it can be asked
    is NginxAsync::OpenApi::invalid($json), undef;  # or what is wrong, in words

The validator is a package of npm's with the official schemas in it; the first
test that asks fetches it into build/.

=cut

use strict;
use warnings;

use Fcntl qw(:flock);
use FindBin;

use NginxAsync::Env;
use NginxAsync::Guard;

use constant PACKAGE => '@seriousme/openapi-schema-validator@2.11.0';

my $dir = "$FindBin::Bin/../build/openapi-validator";

sub missing {
    my ($name) = PACKAGE =~ /^(.+)@/;

    return if -d "$dir/node_modules/$name";

    mkdir "$FindBin::Bin/../build";
    mkdir $dir;
    open my $lock, '>', "$dir/.lock" or return "$dir/.lock: $!";
    flock $lock, LOCK_EX;

    return if -d "$dir/node_modules/$name";

    my $out = `npm install --prefix '$dir' --ignore-scripts --no-audit --no-fund --no-save \\
        --fetch-retries=0 '@{[ PACKAGE ]}' 2>&1`;

    return if -d "$dir/node_modules/$name";
    return 'npm could not fetch ' . PACKAGE . ': ' . ($out // 'there is no npm');
}


sub invalid {
    my ($json) = @_;

    my ($name) = PACKAGE =~ /^(.+)@/;
    my $file   = NginxAsync::Guard::temp_dir('openapi') . '/openapi.json';

    NginxAsync::Env::spew($file, $json);
    NginxAsync::Env::spew("$file.mjs", <<"END");
import { Validator } from "$dir/node_modules/$name/index.js";
const validator = new Validator();
const result = await validator.validate("$file");
console.log(result.valid ? "valid " + validator.version : JSON.stringify(result.errors));
END

    my $out = `node '$file.mjs' 2>&1`;

    return $out eq "valid 3.1\n" ? undef : $out;
}

1;
