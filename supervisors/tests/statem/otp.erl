%% Plays scripts.txt through OTP's own gen_statem, and writes what each state handled.
-module(otp).
-behaviour(gen_statem).
-export([main/1, init/1, callback_mode/0, handle_event/4]).

main(File) ->
    {ok, Text} = file:read_file(File),
    [play(string:trim(Block)) || Block <- string:split(binary_to_list(Text), "@ ", all), string:trim(Block) =/= ""].

play(Block) ->
    [Name | Lines] = string:lexemes(Block, "\n"),
    {[$>|Casts], Rules} = {lists:last(Lines), [string:lexemes(L, " ") || L <- lists:droplast(Lines)]},
    process_flag(trap_exit, true),
    {ok, Pid} = gen_statem:start_link(?MODULE, {self(), Rules}, []),
    sys:suspend(Pid),
    [gen_statem:cast(Pid, C) || C <- string:lexemes(Casts, " ")],
    sys:resume(Pid),
    receive {'EXIT', Pid, normal} -> ok end,
    io:format("@ ~s~n~s~n", [Name, string:join(handled(), " ")]).

handled() -> receive {handled, X} -> [X | handled()] after 0 -> [] end.

callback_mode() -> [handle_event_function, state_enter].
init({To, Rules}) -> {ok, "a", {To, Rules}}.

handle_event(Type, Content, State, {To, Rules} = Data) ->
    Event = case Type of
                enter -> "enter";
                state_timeout -> "state_timeout";
                timeout -> "event_timeout";
                {timeout, Name} -> "timeout." ++ Name;
                _ -> Content
            end,
    To ! {handled, State ++ ":" ++ Event},
    Actions = lists:append([As || [S, E | As] <- Rules, S =:= State, E =:= Event]),
    Acts = lists:append([action(A) || A <- Actions]),
    case {lists:member("stop", Actions), lists:member("repeat", Actions), [S || "next=" ++ S <- Actions]} of
        {true, _, _} -> {stop, normal};
        {_, true, _} -> {repeat_state, Data, Acts};
        {_, _, [Next]} -> {next_state, Next, Data, Acts};
        _ -> {keep_state, Data, Acts}
    end.

action("postpone") -> [postpone];
action("push=" ++ E) -> [{next_event, internal, E}];
action("st=" ++ T) -> [{state_timeout, time(T), x}];
action("et=" ++ T) -> [{timeout, time(T), x}];
action("t." ++ T) ->
    [Name, Time] = string:split(T, "="),
    [{{timeout, Name}, time(Time), x}];
action(_) -> [].

time("cancel") -> infinity;
time("never") -> 3600000;
time(T) -> list_to_integer(T).
