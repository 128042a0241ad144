/*
 * How a reader of docs/protocols/feed.md learns that a word on the board moved: it polls the board's attributes, whose
 * time stamps are coarse, and reads the board when they moved. README.md here says what is modelled and what is not.
 *
 * Requests are executed at any time after they were sent, answers come at any time after that. The server's clock and
 * the reader's go at one rate, and tick in turns.
 *
 * Each WITHOUT_... takes out one safeguard and has to violate the property, each REACHES=... asks for a behaviour that
 * has to exist. tests/model runs them all.
 */
#ifndef WORDS
#define WORDS 3
#endif
#ifndef TICKS
#define TICKS 5 /* then time ends */
#endif
#ifndef WINDOW
#define WINDOW 2 /* ticks of the reader after a move was seen: longer than one of the server's */
#endif

/* At the server. */
byte word;  /* of one member: how much it announced */
byte stamp; /* of the board: the tick of the last write */
byte tick;

mtype:call = { NONE, ATTRIBUTES, BOARD };
mtype:answer = { NOT_SENT, SENT, DONE };
mtype:call call = NONE;
mtype:answer answer = NOT_SENT;
byte answer_stamp, answer_word;

/* At the reader. */
byte seen_stamp, known_word;
byte window_left = WINDOW;
bool is_settled;        /* it reads no more until the attributes move */
bool ends_window;       /* this poll was sent after the window */
bool server_ticks_next; /* one clock never gains more than a tick on the other */

#ifdef REACHES
#define settled_on_all 1
#define read_what_had_no_stamp 2
#define reached(what) assert(REACHES != what)
#else
#define reached(what) skip
#endif
#define missed (call == NONE && is_settled && seen_stamp == stamp && known_word != word)

inline end_call()
{
    call = NONE;
    answer = NOT_SENT;
    answer_stamp = 0;
    answer_word = 0
}

inline execute()
{
    answer = DONE;
    if
    :: call == ATTRIBUTES -> answer_stamp = stamp
    :: call == BOARD -> answer_word = word
    fi
}

inline after_attributes()
{
    if
    :: answer_stamp != seen_stamp ->
        seen_stamp = answer_stamp;
        window_left = WINDOW;
        is_settled = false;
        ends_window = false
    :: else
    fi;
    end_call();
    if
    :: !is_settled -> call = BOARD; answer = SENT
    :: else
    fi
}

inline after_board()
{
    if
    :: answer_word != known_word && window_left < WINDOW -> reached(read_what_had_no_stamp)
    :: else
    fi;
    known_word = answer_word;
#if defined(WITHOUT_SECOND_READ)
    is_settled = true;
#elif defined(WITHOUT_SENT_TIME)
    is_settled = window_left == 0;
#else
    is_settled = ends_window;
#endif
    end_call()
}

active proctype writer()
{
end:
    do
    :: d_step { word < WORDS && tick < TICKS -> word++; stamp = tick }
    od
}

active proctype server()
{
end:
    do
    :: d_step { answer == SENT -> execute() }
    :: d_step { server_ticks_next && tick < TICKS -> tick++; server_ticks_next = false }
    od
}

active proctype reader()
{
end:
    do
    :: d_step { !server_ticks_next && tick < TICKS ->
        server_ticks_next = true;
        if
        :: window_left > 0 -> window_left--
        :: else
        fi }
    :: d_step { call == NONE -> call = ATTRIBUTES; answer = SENT; ends_window = window_left == 0 }
    :: d_step { answer == DONE && call == ATTRIBUTES -> after_attributes() }
    :: d_step { answer == DONE && call == BOARD -> after_board() }
    :: d_step { is_settled && word == WORDS && known_word == WORDS -> reached(settled_on_all) }
    :: d_step { missed -> assert(false) } /* nothing makes it look again */
    od
}
