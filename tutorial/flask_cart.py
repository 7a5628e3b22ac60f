import os

import redis
from flask import Flask, jsonify, request, session
from moored.flask import Session

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "dev-key")
app.config["SESSION_TYPE"] = "redis"
app.config["SESSION_PERMANENT"] = False
app.config["SESSION_USE_SIGNER"] = True
app.config["SESSION_REDIS"] = redis.Redis(
    host="localhost", port=int(os.environ.get("REDIS_PORT", "6379")), db=0
)
Session(app)


@app.post("/cart/add")
def add_to_cart():
    item = request.json.get("item")
    if not item:
        return jsonify({"error": "No item provided"}), 400
    cart = session.get("cart", [])
    cart.append(item)
    session["cart"] = cart
    return jsonify({"cart": cart})


@app.get("/cart")
def view_cart():
    return jsonify({"cart": session.get("cart", [])})
