#!/usr/bin/perl

# examples/gateway and examples/scrape, and what their READMEs show.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Test::More;

use NginxAsync;
use NginxAsync::Example;

my $dir = NginxAsync::Guard::temp_dir('fetch');
chmod 0755, $dir;

sub example {
    my ($name, $socket, %change) = @_;

    return NginxAsync->new(conf => example_conf($name, example_app($name),
        "server     unix:$socket;" => "server unix:$dir/$socket;",
        "listen  unix:$socket;"    => "listen unix:$dir/$socket;",
        %change))->start;
}

sub got { return decode_json($_[0]->get($_[1])->body) }

subtest 'gateway' => sub {
    my $nginx = example('gateway', 'services.sock');

    is_deeply [sort keys %{got($nginx, '/products/1')}],
        [qw(missing price reviews stock)], 'all three are there';

    my $mark = $nginx->mark;
    is_deeply got($nginx, '/products/7')->{missing}, ['reviews'],
        'who is late is left out';
    like_log $nginx, $mark, qr/no reviews: .*300 ms/, '... and the log says so';

    is $nginx->get('/products/100')->status, 502, 'no price, no product';
    like_log $nginx, $mark, qr/no price: .* answered 404/, '... and why';
    is $nginx->get('/products/x')->status, 422, 'no number';

    readme_holds('gateway', $nginx);
};

subtest 'scrape' => sub {
    # the workers may not be able to read the folder of the tree
    my $site = NginxAsync::Guard::temp_dir('site');

    NginxAsync::Env::spew("$site/" . s{.*/}{}r, NginxAsync::Env::slurp($_))
        for glob "$NginxAsync::Env::Root/examples/scrape/site/*";

    my $nginx = example('scrape', 'site.sock', 'root  site;'
        => "root $site;");

    my %title = map { $_->{url} => $_->{title} }
        @{got($nginx, '/titles?url=http://site/')};

    is scalar keys %title, 6, 'every page once';
    is $title{'http://site/'}, 'Birds', 'by its title';

    for my $inside ('http://127.0.0.1:1/', 'http://[::1]:1/',
        'http://localhost/', 'http://10.0.0.1/')
    {
        is got($nginx, "/titles?url=$inside")->[0]{error}, 'not allowed',
            "$inside is not reached";
    }

    readme_holds('scrape', $nginx);
};

done_testing();
