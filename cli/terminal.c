#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

enum { COLUMNS_DEFAULT = 80, ROWS_DEFAULT = 24 };

/* The other screen, no cursor, lines are cut instead of wrapped; and back. */
static const char enter_text[] = "\033[?1049h\033[?25l\033[?7l";
static const char leave_text[] = "\033[?7h\033[?25h\033[?1049l";

/* For the handlers, which can only use what is here. */
static struct termios before;
static volatile sig_atomic_t has_keys, entered, redraw;

void terminal_size(int *ret_columns, int *ret_rows)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    *ret_columns = known && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    *ret_rows = known && size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
}

static void put(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(STDOUT_FILENO, text, length);
        if (n < 0 && errno != EINTR)
            return;
        text += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
    }
}

static void enter(void)
{
    entered = 1;
    if (has_keys) {
        struct termios keys = before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ^C stays a signal */
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    put(enter_text, strlen(enter_text));
}

/* Also in handlers. */
void terminal_leave(void)
{
    if (!entered)
        return;
    entered = 0;
    put(leave_text, strlen(leave_text));
    if (has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void on_end(int number)
{
    terminal_leave();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_stop(int number)
{
    int saved = errno;
    terminal_leave();
    raise(SIGSTOP);
    enter();
    redraw = 1;
    errno = saved;
}

static void on_size(int number)
{
    redraw = 1;
}

int terminal_enter(struct error *err)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
    if (!isatty(STDOUT_FILENO))
        return error_set(err, ENOTTY, "stdout is not a terminal");
    has_keys = tcgetattr(STDIN_FILENO, &before) == 0;
    struct sigaction action = {.sa_handler = on_end};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        sigaction(ends[i], &action, NULL);
    action.sa_handler = on_stop;
    sigaction(SIGTSTP, &action, NULL);
    action.sa_handler = on_size;
    sigaction(SIGWINCH, &action, NULL);
    atexit(terminal_leave);
    enter();
    return 0;
}

/* Bytes of the line's first columns. */
static size_t clip(const char *line, size_t length, int columns)
{
    size_t at = 0;
    for (int column = 0; at < length; at++) {
        bool starts = ((unsigned char)line[at] & 0xc0) != 0x80;
        if (starts && column++ == columns)
            break;
    }
    return at;
}

void terminal_show(const char *text)
{
    static const char home[] = "\033[H", empty_line[] = "\033[2K", empty_rest[] = "\r\n\033[J";
    char *screen = NULL;
    size_t size;
    int columns, rows;
    FILE *out = open_memstream(&screen, &size);
    if (!out)
        return;
    terminal_size(&columns, &rows);
    fputs(home, out);
    int row = 0;
    for (; row < rows && *text; row++) {
        size_t length = strcspn(text, "\n");
        fputs(row > 0 ? "\r\n" : "", out);
        fputs(empty_line, out);
        fwrite(text, 1, clip(text, length, columns), out);
        text += length + (text[length] == '\n');
    }
    fputs(row < rows ? empty_rest : "", out);
    if (fclose(out) == 0)
        put(screen, size);
    free(screen);
}

/* false: q, or nothing comes any more. */
static bool read_keys(void)
{
    char keys[64];
    ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
    if (n <= 0)
        return n < 0 && errno == EINTR;
    return !memchr(keys, 'q', (size_t)n) && !memchr(keys, 'Q', (size_t)n);
}

enum terminal_event terminal_wait(int64_t deadline_ms)
{
    for (;;) {
        if (redraw) {
            redraw = 0;
            return TERMINAL_REDRAW;
        }
        struct pollfd input = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
        int n = poll(&input, 1, clock_poll_timeout(deadline_ms));
        if (n > 0 && !read_keys())
            return TERMINAL_QUIT;
        if (clock_now_ms() >= deadline_ms)
            return TERMINAL_TIME;
    }
}
