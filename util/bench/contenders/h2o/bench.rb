# "/mruby/...": fetches, JSON, parameters and events

HEADERS = {"content-type" => "application/json"}
EVENT = %(data: {"message":"Hello, World!"}\n\n)
URL = "http://127.0.0.1:#{ENV["BACKEND"]}/json"

def json(value)
  [200, HEADERS, [JSON.generate(value)]]
end

def parsed(request)
  JSON.parse(request.join[2].join)
end

def fetch
  json(parsed(http_request(URL)))
end

# under way at once, joined one after another
def fetch3
  json([http_request(URL), http_request(URL), http_request(URL)].map { |r|
    parsed(r)
  })
end

def tree(env)
  json(JSON.parse(env["rack.input"].read))
end

def text(env)
  [200, HEADERS, [env["rack.input"].read]]
end

def query(text)
  text.split("&").map { |pair| pair.split("=", 2) }.to_h
end

def params(env)
  _, _, shop, _, kind = env["PATH_INFO"].split("/")
  args = query(env["QUERY_STRING"])
  shop, limit = shop.to_i, (args["limit"] || "20").to_i
  q, price = args["q"], args["price"].to_f

  if shop < 1 || kind.length > 20 || limit < 1 || limit > 100 || price <= 0
    return [422, HEADERS, []]
  end

  if [shop, kind, limit, q, price] != [7, "shoes", 10, "abc", 9.5]
    raise "other parameters"
  end

  json({"message" => "Hello, World!"})
end

class Events
  def each
    100.times { yield EVENT }
  end
end

Proc.new do |env|
  case env["PATH_INFO"]
  when "/fetch"  then fetch
  when "/fetch3" then fetch3
  when "/tree"   then tree(env)
  when "/text"   then text(env)
  when "/events" then [200, {"content-type" => "text/event-stream"}, Events.new]
  else                params(env)
  end
end
