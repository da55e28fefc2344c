package NginxAsync::Browser;

=head1 NAME

NginxAsync::Browser - a headless Chromium, driven by WebDriver

=head1 SYNOPSIS

    plan skip_all => $why if my $why = NginxAsync::Browser::missing();

    my $browser = NginxAsync::Browser->new(width => 400, dark => 1);

    $browser->open('http://127.0.0.1:8000/docs');
    $browser->click('#read_item summary');      # what CSS finds; waits for it
    $browser->type('input[name=q]', 'text');    # in place of what is there
    is $browser->text('.status'), '200 OK';
    $browser->wait_text('.status', qr/200/);
    $browser->script('return document.title');
    $browser->view(width => 360, height => 740, dark => 0);
    my $one = $browser->tab;                    # the one that is driven
    my $two = $browser->new_tab;                # opens another, and drives it
    $browser->turn_to($one);
    $browser->screenshot('/tmp/page.png');

    is_deeply [$browser->complaints], [];       # of the console, since the last
    is_deeply [$browser->requests], [...];      # addresses, since the last call

Elements are found by CSS selectors, the first one counts.  Each call waits up
to 20 seconds for what it needs, and dies without it.  Chromium has a profile
of its own, and ends with the object or the test.

=cut

use strict;
use warnings;

use Carp qw(croak);
use HTTP::Tiny;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use POSIX ();
use Time::HiRes qw(sleep time);

use NginxAsync::Env;
use NginxAsync::Guard;

use constant { PATIENCE => 20, ELEMENT => 'element-6066-11e4-a52e-4f735466cecf' };

# Why there can be no browser; or undef.
sub missing {
    return 'there is no Chromium with its driver (util/packages test)'
        if !program(qw(chromedriver)) || !program(qw(chromium chromium-browser google-chrome));
    return;
}


sub program {
    my (@names) = @_;

    return (grep { -x } map { my $name = $_; map { "$_/$name" } split /:/, $ENV{PATH} } @names)[0];
}


# Options: width, height, dark.
sub new {
    my ($class, %o) = @_;

    my $dir  = NginxAsync::Guard::temp_dir('browser');
    my $self = bless {
        dir => $dir, owner => $$, port => NginxAsync::Env::free_port(),
        http => HTTP::Tiny->new(timeout => 60, proxy => undef, http_proxy => undef),
        width => 1200, height => 900, %o,
    }, $class;

    $self->{pid} = $self->spawn;

    $self->wait_for('the driver', sub {
        my $r = $self->{http}->get("http://127.0.0.1:$self->{port}/status");
        return $r->{success} && decode_json($r->{content})->{value}{ready};
    });

    my $value = $self->call(POST => '/session', { capabilities => { alwaysMatch => {
        browserName => 'chrome',
        'goog:loggingPrefs'  => { browser => 'ALL', performance => 'ALL' },
        'goog:chromeOptions' => {
            binary => program(qw(chromium chromium-browser google-chrome)),
            args   => [$self->arguments],
        },
    } } });

    $self->{session} = "/session/$value->{sessionId}";

    return $self->view;
}


# Options: width, height, dark, as of new().
sub view {
    my ($self, %o) = @_;

    %$self = (%$self, %o);

    $self->command('Emulation.setDeviceMetricsOverride', {
        width => $self->{width} + 0, height => $self->{height} + 0, deviceScaleFactor => 1,
        mobile => JSON::PP::false,
    });
    $self->command('Emulation.setEmulatedMedia', {
        features => [{ name => 'prefers-color-scheme', value => $self->{dark} ? 'dark' : 'light' }],
    });

    return $self;
}


# Tests run as root, where Chromium's own sandbox cannot; what it asks its maker
# for would be in the way of nobody but is not for a test to send.
sub arguments {
    my ($self) = @_;

    return ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
        '--no-first-run', '--disable-background-networking', '--disable-sync',
        '--disable-component-update', '--disable-default-apps', '--disable-extensions',
        '--no-proxy-server', "--user-data-dir=$self->{dir}/profile",
        "--window-size=$self->{width},$self->{height}");
}


sub spawn {
    my ($self) = @_;

    NginxAsync::Guard::adopt_dir($self->{dir});

    my $pid = fork() // die "fork: $!";
    return $pid if $pid;

    NginxAsync::Guard::enlist();
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', "$self->{dir}/log";
    open STDERR, '>&', \*STDOUT;
    $ENV{HOME} = $self->{dir};
    chdir $self->{dir};
    exec { program('chromedriver') } 'chromedriver', "--port=$self->{port}"
        or POSIX::_exit(127);
}


sub quit {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    if ($self->{session}) {
        $self->{http}->delete("http://127.0.0.1:$self->{port}$self->{session}");
    }

    my $pid = delete $self->{pid};
    local ($?, $!);

    kill 'KILL', -$pid;
    waitpid $pid, 0;
    NginxAsync::Guard::forget($pid);
    NginxAsync::Guard::remove_dir($self->{dir});
}


sub DESTROY { my ($self) = @_; $self->quit if ${^GLOBAL_PHASE} ne 'DESTRUCT' }


# ---- pages

sub open { my ($self, $url) = @_; return $self->ask(POST => '/url', { url => $url }) }

sub script {
    my ($self, $text, @args) = @_;

    return $self->ask(POST => '/execute/sync', { script => $text, args => \@args });
}


sub click {
    my ($self, $css) = @_;

    return $self->element($css, sub { $self->ask(POST => "/element/$_[0]/click", {}) });
}


# In place of what is there; of a file's input, its path.
sub type {
    my ($self, $css, $text) = @_;

    return $self->element($css, sub {
        my ($id) = @_;

        if ($self->script('return arguments[0].type', { ELEMENT, $id }) ne 'file') {
            $self->ask(POST => "/element/$id/clear", {});
        }

        $self->ask(POST => "/element/$id/value", { text => $text });
    });
}


sub text {
    my ($self, $css) = @_;

    return $self->element($css, sub { $self->ask(GET => "/element/$_[0]/text") });
}


# How many there are, now.
sub count {
    my ($self, $css) = @_;

    return scalar @{ $self->ask(POST => '/elements', { using => 'css selector', value => $css }) };
}


# The text, once it is like that.
sub wait_text {
    my ($self, $css, $like) = @_;

    my $text;

    $self->wait_for("$css like $like", sub {
        my $found = $self->ask(POST => '/elements', { using => 'css selector', value => $css });
        return 0 if !@$found;
        $text = eval { $self->ask(GET => "/element/$found->[0]{+ELEMENT}/text") } // return 0;
        return $text =~ $like;
    });

    return $text;
}


sub tab { my ($self) = @_; return $self->ask(GET => '/window') }

sub new_tab {
    my ($self) = @_;

    return $self->turn_to($self->ask(POST => '/window/new', { type => 'tab' })->{handle});
}


# Brings it to the front, too: pages behind are not drawn.
sub turn_to {
    my ($self, $tab) = @_;

    $self->ask(POST => '/window', { handle => $tab });
    $self->command('Page.bringToFront', {});
    $self->view;

    return $tab;
}


sub screenshot {
    my ($self, $file) = @_;

    NginxAsync::Env::spew($file, decode_base64($self->ask(GET => '/screenshot')));
    return $file;
}


# ---- what it tells

sub complaints {
    my ($self) = @_;

    return map { $_->{message} } grep { $_->{level} =~ /SEVERE|WARNING/ } $self->entries('browser');
}


# But for those of data: and blob:, which ask nobody.
sub requests {
    my ($self) = @_;

    return grep { !/^(?:data|blob|about|chrome)/ }
        map  { $_->{params}{request}{url} }
        grep { $_->{method} eq 'Network.requestWillBeSent' }
        map  { decode_json($_->{message})->{message} } $self->entries('performance');
}


sub entries {
    my ($self, $type) = @_;

    return @{ $self->ask(POST => '/se/log', { type => $type }) };
}


# ---- WebDriver

# Of Chromium's own protocol.
sub command {
    my ($self, $cmd, $params) = @_;

    return $self->ask(POST => '/goog/cdp/execute', { cmd => $cmd, params => $params });
}


# Does something to an element, once it is there and can have it done.
sub element {
    my ($self, $css, $do) = @_;

    my ($result, $error);

    my $done = eval {
        $self->wait_for($css, sub {
            my $found = eval { $self->ask(POST => '/element', { using => 'css selector', value => $css }) };

            return eval { $result = $do->($found->{+ELEMENT}) if $found; $found && 1 }
                || do { $error = $@; 0 };
        });
        1;
    };

    croak $@ . ($error // '') if !$done;

    return $result;
}


sub wait_for {
    my ($self, $what, $is) = @_;

    for (my $end = time + PATIENCE; time < $end; sleep 0.05) {
        return 1 if $is->();
    }

    croak "no $what after " . PATIENCE . " seconds";
}


sub ask { my ($self, $method, $path, $data) = @_; return $self->call($method, $self->{session} . $path, $data) }

sub call {
    my ($self, $method, $path, $data) = @_;

    my $r = $self->{http}->request($method, "http://127.0.0.1:$self->{port}$path", {
        $data ? (content => encode_json($data), headers => { 'content-type' => 'application/json' }) : (),
    });

    my $value = eval { decode_json($r->{content})->{value} };

    croak "WebDriver $method $path: $r->{status} ", ref $value ? $value->{message} : $r->{content}
        if !$r->{success};

    return $value;
}

1;
