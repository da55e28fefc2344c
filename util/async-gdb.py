# Commands of gdb for a worker of nginx-async, alive or a core file:
#
#     gdb -p PID -x util/async-gdb.py         (the worker stands meanwhile)
#     gdb NGINX CORE -x util/async-gdb.py
#
# "help async" lists them.  util/async-tasks calls "async report" for those who
# do not want to know gdb.
#
# A suspended task is a stack and the registers that the switch has left on it.
# They are read and never written: the unwinder below tells gdb that whoever
# called the innermost frame of the loop's thread is the function that has
# suspended the task.  So there is nothing to restore, however this ends, and a
# core file, whose registers gdb does not let anybody change, is no exception.

import os
import re
import struct
import time

import gdb
import gdb.unwinder


# names of registers, and where those of a suspended task are, as an offset
# from its saved stack pointer; what is left out counts from there:
# src/ngx_async_coro_switch.h

MACHINES = {
    'x86-64': {
        'sp': 'rsp', 'pc': 'rip', 'frame': 64,
        'saved': {'r15': 8, 'r14': 16, 'r13': 24, 'r12': 32, 'rbx': 40,
                  'rbp': 48, 'rip': 56},

        # of ucontext_t: the places of its registers, by <sys/ucontext.h>
        'context': {'r12': 72, 'r13': 80, 'r14': 88, 'r15': 96, 'rbp': 120,
                    'rbx': 128, 'rsp': 160, 'rip': 168},
    },
    'aarch64': {
        'sp': 'sp', 'pc': 'pc', 'frame': 176,
        'saved': dict([('x%d' % n, 16 + 8 * (n - 19)) for n in range(19, 30)]
                      + [('x30', 104), ('pc', 104)]),
        'context': dict([('x%d' % n, 184 + 8 * n) for n in range(19, 31)]
                        + [('sp', 432), ('pc', 440)]),
    },
}

STATES = ('new', 'running', 'waiting', 'ready', 'done')
SUSPENDED, RUNNING = 4, 2                 # of ngx_async_coro_state_e

JOB_STATES = ('queued', 'running', 'returned')

REASONS = (None, 'its deadline has passed', 'a deadline of it is no time',
           'the client has gone', 'nginx has answered the request itself',
           'async_shutdown_timeout has passed', 'its parent does not want it')

NO_STACKS = """\
The stacks of tasks are not in this core file.  The kernel writes them, but
gdb's gcore stops at their guards with Linux 6.13 and newer.  Send the worker
SIGABRT instead, with "worker_rlimit_core" and "working_directory" in
nginx.conf, or look at it alive."""

# how many tasks the report shows the backtrace of, each for all like it
TRACES = 200


# ---- reading the memory of the worker

def memory(address, size):
    return gdb.selected_inferior().read_memory(int(address), size).tobytes()


# What may come from clients is not let through to a terminal.

def printable(data, limit=300):
    if len(data) > limit:
        data = data[:limit] + b'...'

    return ''.join(chr(c) if 32 <= c < 127 and c != 92 else '\\x%02x' % c
                   for c in data)


def string(value, limit=300):
    return printable(memory(value['data'], min(int(value['len']), limit + 1)),
                     limit)


def words(pointer):
    if not int(pointer):
        return None

    data, address = b'', int(pointer)

    # a piece at a time, since the next page need not be there
    while b'\0' not in data and len(data) < 4096:
        piece = 64 - address % 64
        data += memory(address, piece)
        address += piece

    return printable(data.split(b'\0')[0])


def static(name):
    symbol = gdb.lookup_static_symbol(name) or gdb.lookup_global_symbol(name)

    if symbol is None:
        raise gdb.GdbError(
            'This program has no nginx-async, or its module was built without'
            ' debug information:\nno symbol "%s".  util/build compiles with'
            ' -g; a module that was stripped needs\nthe file with what was'
            ' stripped from it, or the same module built again.' % name)

    return symbol.value()


# A variable of nginx, whose own debug information may be missing.

def of_nginx(name, kind):
    try:
        return gdb.parse_and_eval('*(%s *) &%s' % (kind, name))
    except gdb.error:
        return None


def queue(head, kind, member):
    kind = gdb.lookup_type(kind)
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == member)
    end = int(head.address)
    at = int(head['next'])
    seen = set()

    # one that is corrupt, as in a core file, must end, too
    while at and at != end and at not in seen:
        seen.add(at)
        yield gdb.Value(at - offset).cast(kind.pointer()).dereference()
        link = gdb.Value(at).cast(head.type.pointer())
        at = int(link['next'])


def array(value, kind):
    first = value['elts'].cast(gdb.lookup_type(kind).pointer())

    return [first[i] for i in range(int(value['nelts']))]


# ---- what is looked at

def pid_alive():
    inferior = gdb.selected_inferior()

    if inferior.pid == 0 or not inferior.threads():
        raise gdb.GdbError('There is no process, nor a core file.')

    # neither of a core file nor of another machine's
    return inferior.pid if inferior.connection.type == 'native' else None


def milliseconds(ms):
    if ms < 1000:
        return '%d ms' % ms

    if ms < 120 * 1000:
        return '%.1f s' % (ms / 1000)

    minutes = ms // 60000

    return '%d min' % minutes if minutes < 120 else '%d h' % (minutes // 60)


class Clock:
    """nginx's clock, and that of the machine where the worker is alive."""

    def __init__(self, alive):
        self.loop = of_nginx('ngx_current_msec', 'unsigned long')
        self.loop = None if self.loop is None else int(self.loop)
        self.now, self.wall = self.loop, None

        cached = of_nginx('ngx_cached_time', 'ngx_time_t *')

        if cached is not None and int(cached):
            self.wall = int(cached['sec']) * 1000 + int(cached['msec'])

        if alive and self.loop is not None:
            late = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1000) \
                - self.loop

            # otherwise the worker lives in another namespace of times
            if 0 <= late < 30 * 24 * 3600 * 1000:
                self.now += late
                self.wall = int(time.time() * 1000)

    def until(self, at):
        if self.now is None:
            return 'at some time'

        # nginx's times wrap
        left = (int(at) - self.now + (1 << 63)) % (1 << 64) - (1 << 63)

        return 'in ' + milliseconds(left) if left >= 0 \
            else milliseconds(-left) + ' ago'


class Task:
    def __init__(self, value):
        self.value = value
        self.address = int(value.address)
        self.coro = value['coro'].dereference()
        self.state = STATES[int(value['state'])]
        self.parent = int(value['parent'])
        self.children = []
        self.child = None                 # what the parent knows of it
        self.number = 0
        self.level = 0

        self.function = words(value['profile']['name'])
        self.await_name = words(value['await'])
        self.site = words(value['site'])

        self.depth = int(self.coro['data']) - int(self.coro['sp'])
        self.suspended = int(self.coro['state']) == SUSPENDED

    def name(self):
        if self.child is None:
            return self.function

        return 'child of %s: %s' % (self.function, symbol(self.child['fn']))

    # tasks with the same key have the same backtrace, but for arguments
    def key(self):
        return (self.name(), self.state, self.await_name, self.site,
                self.depth if self.suspended else self.address)


def symbol(pointer):
    block = gdb.block_for_pc(int(pointer))

    while block is not None and block.function is None:
        block = block.superblock

    if block is not None:
        return block.function.print_name

    text = pointer.format_string(symbols=True)
    found = re.search(r'<([^>]*)>', text)

    return found.group(1) if found else text


# All tasks, children behind their parents, numbered in that order.

def tasks():
    live = static('ngx_async')['live']

    # before the worker has begun there is no list
    try:
        found = [Task(value)
                 for value in queue(live, 'struct async_s', 'live')] \
            if int(live['next']) else []
    except gdb.MemoryError:
        raise gdb.GdbError(NO_STACKS)

    by_address = {t.address: t for t in found}

    for task in found:
        children = task.value['children']

        # the queue is made with the first child
        if int(children['next']):
            for child in queue(children, 'struct async_child_s', 'queue'):
                one = by_address.get(int(child['task']))

                if one is not None:
                    one.child = child
                    one.level = -1
                    task.children.append(one)

    ordered = []

    def add(task, level):
        task.level = level
        ordered.append(task)
        task.number = len(ordered)

        for child in task.children:
            add(child, level + 1)

    for task in found:
        if task.level == 0 and task.number == 0:
            add(task, 0)

    return ordered


# The request of a task that a handler has; None: it has none.

def request(task):
    body = symbol(task.value['body'])

    if body != 'ngx_http_async_body':
        return None

    req = gdb.Value(task.address).cast(
        gdb.lookup_type('struct async_req_s').pointer())

    return req['r'].dereference() if int(req['r']) else None


def describe(r, clock):
    line = string(r['request_line']) or 'a request without a line yet'
    text = '"%s", client %s' % (line, string(r['connection']['addr_text']))

    if int(r['main']) != int(r.address):
        text += ', subrequest "%s"' % string(r['uri'])

    if clock.wall is not None:
        began = int(r['start_sec']) * 1000 + int(r['start_msec'])
        text += ', began %s ago' % milliseconds(max(0, clock.wall - began))

    return text


def lines_of(task, clock):
    t = task.value

    text = 'task %d  %s  %s' % (task.number, task.name(), task.state)

    if task.await_name:
        text += {'waiting': ' in', 'new': ' before'}.get(task.state, ' after')
        text += ' %s at %s' % (task.await_name, task.site or 'no place')

    yield text

    r = request(task)

    if r is not None:
        yield '    ' + describe(r, clock)

    if task.child is not None:
        yield '    spawned at %s' % words(task.child['site'])

    timer = t['timer']
    bound = t['bound']
    notes = []

    if int(timer['timer_set']) and not int(t['timer_is_deadline']):
        notes.append('its await ends ' + clock.until(timer['timer']['key']))

    if int(t['deadline']):
        text = 'deadline ' + clock.until(t['deadline'])

        if int(bound):
            text += ', by ' + (words(bound['what']) or 'a scope')
            site = words(bound['site'])
            text += ' at ' + site if site else ''
        else:
            text += ', of the request'

        notes.append(text)

    cancel = int(t['cancel']) or int(t['reason'])

    if cancel:
        notes.append('cancelled: ' + REASONS[cancel])

    if task.suspended:
        notes.append('%d bytes of stack' % task.depth)

    if notes:
        yield '    ' + '; '.join(notes)


# ---- backtraces

class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Suspended(gdb.unwinder.Unwinder):
    """Puts a suspended task behind the innermost frame of one thread."""

    def __init__(self):
        super().__init__('nginx-async')
        self.registers = None

    def __call__(self, pending):
        if self.registers is None:
            return None

        at = (int(pending.read_register(self.sp)),
              int(pending.read_register(self.pc)))

        if at != self.innermost:
            return None

        info = pending.create_unwind_info(
            FrameId(gdb.Value(self.registers[self.sp] - 8),
                    gdb.Value(self.registers[self.pc])))

        for name, value in self.registers.items():
            kind = pending.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(kind))

        return info

    def enter(self, task):
        self.leave()
        machine, registers = saved_registers(task)
        frame = gdb.newest_frame()
        self.sp, self.pc = machine['sp'], machine['pc']
        self.innermost = (int(frame.read_register(self.sp)),
                          int(frame.read_register(self.pc)))
        self.registers = registers
        gdb.invalidate_cached_frames()

    def leave(self):
        if self.registers is not None:
            self.registers = None
            gdb.invalidate_cached_frames()


unwinder = Suspended()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def saved_registers(task):
    name = gdb.selected_inferior().architecture().name()
    name = 'x86-64' if name == 'i386:x86-64' else name

    if name not in MACHINES:
        raise gdb.GdbError('Backtraces of suspended tasks are not known of %s,'
                           ' only of %s.' % (name, ', '.join(MACHINES)))

    machine = MACHINES[name]
    sp = int(task.coro['sp'])

    # the other switch, -DNGX_ASYNC_CORO_UCONTEXT, has no function to begin in
    try:
        gdb.parse_and_eval('(long) &ngx_async_coro_start')
        places = machine['saved']
    except gdb.error:
        places = machine['context']

    size = max(places.values()) + 8
    data = memory(sp, size)
    registers = {register: struct.unpack_from('<Q', data, place)[0]
                 for register, place in places.items()}

    registers.setdefault(machine['sp'], sp + machine['frame'])

    return machine, registers


# The frames from this one on, as gdb prints them, numbered from zero.

def frames(frame, indent='    '):
    number = 0

    while frame is not None and number < 100:
        frame.select()

        # the first word is the number that gdb gives
        text = gdb.execute('with print frame-info location --'
                           ' with print entry-values no -- frame',
                           to_string=True).strip()
        yield '%s#%-2d %s' % (indent, number, re.sub(r'^#\d+ +', '', text))
        number += 1

        try:
            frame = frame.older()
        except gdb.error as error:
            yield '%s(%s)' % (indent, error)
            return


def thread_frames(thread):
    thread.switch()
    unwinder.leave()

    return list(frames(gdb.newest_frame()))


# The loop runs in the first thread of the process.

def loop_thread():
    threads = sorted(gdb.selected_inferior().threads(), key=lambda t: t.num)
    pid = gdb.selected_inferior().pid

    return next((t for t in threads if t.ptid[1] == pid), threads[0])


def backtrace(task):
    if not task.suspended:
        if int(task.coro['state']) == RUNNING:
            return ['    it runs: see the thread of the loop']

        return ['    it has not begun: ' + task.name()]

    loop_thread().switch()

    try:
        unwinder.enter(task)

        # the innermost frame is the thread's own
        return list(frames(gdb.newest_frame().older()))
    finally:
        unwinder.leave()


# ---- the files of apps: workers load private copies, which have no name

loaded = set()


def load_apps(alive):
    http = main_conf()

    for app in array(http['apps'], 'struct ngx_http_async_app_s') \
            if http is not None else []:

        if not int(app['loaded']):
            continue

        # dlopen() gives a struct link_map, which begins with the address
        offset = struct.unpack('<Q', memory(app['loaded'], 8))[0]
        path = os.fsdecode(memory(app['path']['data'],
                                  int(app['path']['len'])))

        if (gdb.selected_inferior().pid, offset) in loaded:
            continue

        loaded.add((gdb.selected_inferior().pid, offset))

        # by this name the worker has loaded it, and gdb has found it
        file = '/proc/%d/fd/%d' % (gdb.selected_inferior().pid,
                                   int(app['fd']))

        if any(o.filename == file or o.username == file
               for o in gdb.objfiles()):
            continue

        file = file if alive else path
        known = build_id_of_memory(offset)

        if not alive and (known is None or known != build_id_of_file(file)):
            print('%s is not the file that the worker had loaded, or is not'
                  ' there:\nnames of its functions are missing below.' % path)
            continue

        try:
            gdb.execute('add-symbol-file %s -o 0x%x' % (file, offset),
                        to_string=True)
        except gdb.error as error:
            print('%s: %s: names of its functions are missing below.'
                  % (path, error))


def build_id(read):
    """What the linker has noted of the file; None: nothing, or unreadable."""

    try:
        head = read(0, 64)

        if head[:5] != b'\x7fELF\x02':
            return None

        at, size, n = struct.unpack_from('<Q', head, 32)[0], \
            *struct.unpack_from('<HH', head, 54)

        for i in range(n):
            kind, _, _, address, _, length = struct.unpack_from(
                '<IIQQQQ', read(at + i * size, size))
            notes = read(address, length) if kind == 4 else b''

            while len(notes) >= 12:
                name, desc, what = struct.unpack_from('<III', notes)
                name, end = (name + 3) & ~3, 12 + ((name + 3) & ~3)

                if what == 3 and notes[12:16] == b'GNU\0':
                    return notes[end:end + desc]

                notes = notes[end + ((desc + 3) & ~3):]
    except (gdb.error, OSError, struct.error, ValueError):
        pass

    return None


def build_id_of_memory(offset):
    return build_id(lambda at, size: memory(offset + at, size))


# Notes lie before what is writable, where addresses are places in the file.

def build_id_of_file(path):
    try:
        with open(path, 'rb') as file:
            data = file.read(1 << 20)
    except OSError:
        return None

    return build_id(lambda at, size: data[at:at + size])


def main_conf():
    cycle = of_nginx('ngx_cycle', 'ngx_cycle_t *')

    if cycle is None or not int(cycle):
        return None

    http = of_nginx('ngx_http_module', 'ngx_module_t')
    ours = static('ngx_http_async_module')

    if http is None:
        return None

    context = cycle['conf_ctx'][int(http['index'])]

    if not int(context):
        return None

    context = context.cast(gdb.lookup_type('ngx_http_conf_ctx_t').pointer())
    conf = context['main_conf'][int(ours['ctx_index'])]

    return conf.cast(
        gdb.lookup_type('ngx_http_async_main_conf_t').pointer()).dereference()


# ---- threads

def jobs():
    head = static('ngx_async_thread_jobs')

    return list(queue(head, 'ngx_async_job_t', 'live')) \
        if int(head['next']) else []


# The job of the selected thread: a variable of that thread, or if gdb cannot
# read those, what a function on its stack works on.

def job_of_thread():
    try:
        return int(static('ngx_async_thread_job_of_thread'))
    except gdb.error:
        pass

    frame = gdb.newest_frame()

    while frame is not None:
        if frame.name() == 'ngx_async_thread_main':
            try:
                return int(frame.read_var('job'))
            except (ValueError, gdb.error):
                return 0

        frame = frame.older()

    return 0


def describe_job(job):
    text = 'a job of %s in the pool "%s", %s' % (
        words(job['profile']['name']), string(job['pool']['name']),
        JOB_STATES[int(job['state'])])

    return text + ', nobody waits for it any more' if int(job['abandoned']) \
        else text


def print_threads():
    known = {int(job.address): job for job in jobs()}
    loop = loop_thread()
    chosen = gdb.selected_thread()
    others = 0

    for thread in sorted(gdb.selected_inferior().threads(),
                         key=lambda t: t.num):
        if thread.num == loop.num:
            continue

        thread.switch()
        job = known.pop(job_of_thread(), None)

        if job is None:
            others += 1
            continue

        print('thread %d  %s' % (thread.ptid[1], describe_job(job)))
        print('\n'.join(thread_frames(thread)))

    print('idle, or not of the module: %d' % others)

    for job in known.values():
        print('no thread  ' + describe_job(job))

    chosen.switch()


# ---- stacks

def print_stacks():
    worker = static('ngx_async')
    pool = worker['stacks'].dereference()
    made, free, cold = (int(pool[name]) for name in ('made', 'nfree', 'ncold'))

    print('stacks of %d bytes: %d in use, %d free (%d without memory),'
          ' %d at most'
          % (int(pool['stack_size']), made - free - cold, free + cold, cold,
             int(pool['max'])))

    conf = main_conf()

    if conf is None:
        return

    for app in array(conf['apps'], 'struct ngx_http_async_app_s'):
        for fn in array(app['fns'], 'ngx_http_async_fn_t'):
            profile = fn['profile']

            if not int(profile['runs']):
                continue

            text = '    %s: runs: %d' % (words(profile['name']),
                                         int(profile['runs']))

            # it is measured when a run ends, and not of each
            if int(profile['stack_used']):
                text += ', %d bytes of stack at most' \
                    % int(profile['stack_used'])

            if int(profile['slow']):
                text += ', held the loop for too long %d times, %s at most' % (
                    int(profile['slow']), milliseconds(int(profile['longest'])))

            print(text)


# ---- the commands

class Command(gdb.Command):
    """Tasks of a worker of nginx-async."""

    def __init__(self, name, *rest):
        super().__init__(name, gdb.COMMAND_STACK, *rest)

    def invoke(self, argument, from_tty):
        alive = pid_alive()
        unwinder.leave()
        static('ngx_async')
        chosen = gdb.selected_thread()

        load_apps(alive)

        try:
            # a page at a time would hold the worker until somebody reads it
            gdb.execute('set pagination off')
            self.run(argument, alive)
        finally:
            if chosen is not None and unwinder.registers is None:
                chosen.switch()


def numbered(argument):
    found = tasks()

    try:
        return next(t for t in found if t.number == int(argument))
    except (ValueError, StopIteration):
        raise gdb.GdbError('Tasks are numbered from 1 to %d: "async tasks".'
                           % len(found))


# The file that was mapped where the program has begun.

def program_of_core():
    at = re.search(r'AT_ENTRY .*0x([0-9a-f]+)',
                   gdb.execute('info auxv', to_string=True))
    mapped = gdb.execute('info proc mappings', to_string=True)

    for first, last, path in re.findall(
            r'0x([0-9a-f]+) +0x([0-9a-f]+) .* (/.*)', mapped):
        if at and int(first, 16) <= int(at.group(1), 16) < int(last, 16):
            return re.sub(r' \(deleted\)$', '', path)

    raise gdb.GdbError('Of which program this core file is cannot be told:'
                       ' name it, too.')


class Open(Command):
    """Opens a process, by its number, or a core file, without many words."""

    def invoke(self, argument, from_tty):
        if argument.isdigit():
            gdb.execute('attach ' + argument, to_string=True)
            return

        gdb.execute('core-file ' + argument, to_string=True)

        if gdb.current_progspace().filename is None:
            gdb.execute('file "%s"' % program_of_core(), to_string=True)
            gdb.execute('core-file ' + argument, to_string=True)


class Tasks(Command):
    """Lists the tasks, children behind their parents."""

    def run(self, argument, alive):
        clock = Clock(alive)

        for task in tasks():
            for line in lines_of(task, clock):
                print('    ' * task.level + line)


class Bt(Command):
    """Prints the backtrace of a task: async bt NUMBER, or async bt all."""

    def run(self, argument, alive):
        found = tasks() if argument in ('', 'all') else [numbered(argument)]
        clock = Clock(alive)

        for task in found:
            print('\n'.join(list(lines_of(task, clock)) + backtrace(task)))


class Select(Command):
    """Has bt, up, down, info locals and so on work in a suspended task.
Its frames follow behind frame 0, which stays that of the loop: async select
NUMBER.  Without a number, and by every other command of async, that ends."""

    def run(self, argument, alive):
        if not argument:
            return

        task = numbered(argument)

        if not task.suspended:
            raise gdb.GdbError('This task is not suspended.')

        loop_thread().switch()
        unwinder.enter(task)
        gdb.newest_frame().older().select()
        gdb.execute('frame')


class Requests(Command):
    """Lists the requests that handlers answer."""

    def run(self, argument, alive):
        clock = Clock(alive)

        for task in tasks():
            r = request(task)

            if r is not None:
                print('task %d  %s' % (task.number, describe(r, clock)))


class Threads(Command):
    """Lists threads of pools, and what runs in them."""

    def run(self, argument, alive):
        print_threads()


class Stacks(Command):
    """Tells of the stacks of tasks, and of the most that functions had."""

    def run(self, argument, alive):
        print_stacks()


class Report(Command):
    """Prints all of it, as util/async-tasks does."""

    def run(self, argument, alive):
        clock = Clock(alive)
        found = tasks()
        kinds = {}

        for task in found:
            kinds.setdefault(task.key(), []).append(task)

        print('worker %d%s: %d tasks' % (gdb.selected_inferior().pid,
                                         '' if alive else ' (a core file)',
                                         len(found)))
        loop = 'the loop:'

        if alive and clock.loop is not None:
            loop = 'the loop, %s after its last turn:' \
                % milliseconds(clock.now - clock.loop)

        print('\n' + loop)
        print('\n'.join(thread_frames(loop_thread())))

        left = TRACES

        for same in kinds.values():
            print()

            for task in same:
                print('\n'.join(lines_of(task, clock)))

            if left == 0:
                print('    (no more backtraces: "async bt %d" in gdb)'
                      % same[0].number)
                continue

            print('\n'.join(backtrace(same[0])))
            left -= 1

        print('\nthreads:')
        print_threads()

        print()
        print_stacks()


Command('async', gdb.COMPLETE_NONE, True)

for name, command in (('open', Open), ('tasks', Tasks), ('bt', Bt),
                      ('select', Select), ('requests', Requests),
                      ('threads', Threads), ('stacks', Stacks),
                      ('report', Report)):
    command('async ' + name)
